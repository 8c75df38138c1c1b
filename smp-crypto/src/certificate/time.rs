//! The two calendars of certificates, as seconds since the Unix epoch.

use smp_proto::wire::Error;

use super::der::{DerReader, GENERALIZED_TIME, UTC_TIME};

/// The last second a certificate can name: 9999-12-31 23:59:59, "no expiry" by RFC 5280, section 4.1.2.5.
pub const TIME_MAX: i64 = 253_402_300_799;

/// The first second that UTCTime cannot name: 2050-01-01 00:00:00.
pub(crate) const GENERALIZED_TIME_FROM: i64 = 2_524_608_000;

/// Reads a UTCTime or GeneralizedTime in the only form RFC 5280 allows: to the second, in UTC.
pub(crate) fn read_time(reader: &mut DerReader<'_>) -> Result<i64, Error> {
    let element = reader.element()?;
    let (year, rest) = match (element.tag, element.contents) {
        // Two-digit years below 50 belong to this century (RFC 5280, section 4.1.2.5.1).
        (UTC_TIME, [a, b, rest @ ..]) => match i64::from(digits(*a, *b)?) {
            year @ 0..50 => (year.saturating_add(2000), rest),
            year => (year.saturating_add(1900), rest),
        },
        (GENERALIZED_TIME, [a, b, c, d, rest @ ..]) => {
            let century = i64::from(digits(*a, *b)?);
            (century.saturating_mul(100).saturating_add(i64::from(digits(*c, *d)?)), rest)
        }
        _ => return Err(Error::Invalid),
    };
    let [mo, mo2, d, d2, h, h2, mi, mi2, s, s2, b'Z'] = rest else {
        return Err(Error::Invalid);
    };
    let (month, day) = (digits(*mo, *mo2)?, digits(*d, *d2)?);
    let (hour, minute, second) = (digits(*h, *h2)?, digits(*mi, *mi2)?, digits(*s, *s2)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return Err(Error::Invalid);
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Error::Invalid);
    }
    let of_day = i64::from(hour)
        .saturating_mul(3_600)
        .saturating_add(i64::from(minute).saturating_mul(60))
        .saturating_add(i64::from(second));
    Ok(days_from_civil(year, month, day).saturating_mul(86_400).saturating_add(of_day))
}

fn digits(tens: u8, units: u8) -> Result<u8, Error> {
    match (tens, units) {
        (b'0'..=b'9', b'0'..=b'9') => Ok((tens & 0x0f).saturating_mul(10).saturating_add(units & 0x0f)),
        _ => Err(Error::Invalid),
    }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
#[expect(clippy::arithmetic_side_effects, reason = "years have four digits")]
fn days_from_civil(year: i64, month: u8, day: u8) -> i64 {
    // Years are counted from March, which puts the leap day at their end.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (i64::from(month) + 9) % 12;
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Writes `YYYYMMDDHHMMSSZ`, of which UTCTime leaves out the first two digits. Seconds must be between 0 (1970) and
/// [`TIME_MAX`].
#[expect(clippy::arithmetic_side_effects, reason = "the range is checked first")]
pub(crate) fn write_time(seconds: i64) -> Result<[u8; 15], Error> {
    if !(0..=TIME_MAX).contains(&seconds) {
        return Err(Error::Invalid);
    }
    let (days, of_day) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = month + if month < 10 { 3 } else { -9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut text = [b'Z'; 15];
    let pairs = [year / 100, year % 100, month, day, of_day / 3_600, of_day / 60 % 60, of_day % 60];
    for (place, pair) in text.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
        let digit = |value: i64| u8::try_from(value).map_or(b'0', |value| b'0' | value);
        *place = [digit(pair / 10), digit(pair % 10)];
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tag: u8, text: &str) -> Result<i64, Error> {
        let mut der = std::vec![tag, u8::try_from(text.len()).unwrap()];
        der.extend(text.bytes());
        read_time(&mut DerReader::new(&der))
    }

    #[test]
    fn reads_both_calendars() {
        assert_eq!(read(UTC_TIME, "700101000000Z"), Ok(0));
        assert_eq!(read(UTC_TIME, "000229123456Z"), Ok(951_827_696));
        assert_eq!(read(UTC_TIME, "491231235959Z"), Ok(GENERALIZED_TIME_FROM - 1));
        assert_eq!(read(UTC_TIME, "500101000000Z"), Ok(-631_152_000));
        assert_eq!(read(GENERALIZED_TIME, "20500101000000Z"), Ok(GENERALIZED_TIME_FROM));
        assert_eq!(read(GENERALIZED_TIME, "47641017200026Z"), Ok(88_195_204_826));
        assert_eq!(read(GENERALIZED_TIME, "99991231235959Z"), Ok(TIME_MAX));
        assert_eq!(read(GENERALIZED_TIME, "00000101000000Z"), Ok(-62_167_219_200));
    }

    #[test]
    fn refuses_other_forms() {
        for text in [
            "7001010000Z",
            "700101000000",
            "700101000000+0000",
            "700101000000z",
            "701301000000Z",
            "700001000000Z",
            "700132000000Z",
            "700229000000Z",
            "700100000000Z",
            "700101240000Z",
            "700101006000Z",
            "700101000060Z",
            "7001010000 0Z",
            "",
        ] {
            assert!(read(UTC_TIME, text).is_err(), "{text}");
        }
        for text in ["20500101000000.0Z", "19000229000000Z", "205001010000Z", "700101000000Z"] {
            assert!(read(GENERALIZED_TIME, text).is_err(), "{text}");
        }
        assert!(read(0x16, "700101000000Z").is_err());
    }

    #[test]
    fn writes_what_it_reads() {
        for seconds in (0..TIME_MAX).step_by(86_399 * 97).chain([0, 951_827_696, TIME_MAX]) {
            let text = write_time(seconds).unwrap();
            assert_eq!(read(GENERALIZED_TIME, core::str::from_utf8(&text).unwrap()), Ok(seconds));
        }
        assert!(write_time(-1).is_err());
        assert!(write_time(TIME_MAX + 1).is_err());
    }
}
