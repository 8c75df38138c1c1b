//! Days as people name them. A day is the number of whole days since 1970-01-01, UTC.

use super::Period;

/// Seconds of a day.
pub(super) const DAY_SECONDS: i64 = 86_400;

/// Year, month (1 to 12) and day of the month (from 1), in the Gregorian calendar.
///
/// Years are counted from March here, so that the leap day is the last of a year.
pub(crate) fn date(day: u32) -> (u32, u32, u32) {
    const DAYS_TO_YEAR_0: u32 = 719_468;
    const DAYS_OF_400_YEARS: u32 = 146_097;
    let day = day.saturating_add(DAYS_TO_YEAR_0);
    let (era, of_era) = (day / DAYS_OF_400_YEARS, day % DAYS_OF_400_YEARS);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, of_month)
}

/// `2026-11-22`.
pub(crate) fn date_text(day: u32) -> String {
    let (year, month, of_month) = date(day);
    format!("{year:04}-{month:02}-{of_month:02}")
}

/// `2026-11-22T05:30:00Z`, for seconds since 1970-01-01, UTC.
pub(crate) fn time_text(seconds: i64) -> String {
    let day = u32::try_from(seconds.div_euclid(DAY_SECONDS)).unwrap_or_default();
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    format!("{}T{:02}:{:02}:{:02}Z", date_text(day), of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

/// Whether a period began on a day behind `last`, up to `today`.
pub(super) fn begun(period: Period, last: u32, today: u32) -> bool {
    let first = last.saturating_add(1);
    match period {
        Period::Day => today > last,
        // More than a month ago, whatever the day.
        Period::Week | Period::Month if today.saturating_sub(last) > 31 => true,
        // 1970-01-01 was a Thursday.
        Period::Week => (first..=today).any(|day| day % 7 == 4),
        Period::Month => (first..=today).any(|day| date(day).2 == 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (day, text) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (19_782, "2024-02-29"),
            (20_453, "2025-12-31"),
            (20_454, "2026-01-01"),
            (20_779, "2026-11-22"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(date_text(day), text);
        }
        assert_eq!(time_text(20_779 * 86_400 + 3_600 * 23 + 61), "2026-11-22T23:01:01Z");
    }

    #[test]
    fn weeks_begin_on_mondays_and_months_on_the_first() {
        // 2026-11-22 is a Sunday.
        let sunday = 20_779;
        assert!(!begun(Period::Day, sunday, sunday));
        assert!(!begun(Period::Week, sunday - 1, sunday));
        assert!(begun(Period::Week, sunday, sunday + 1));
        assert!(!begun(Period::Week, sunday + 1, sunday + 7));
        assert!(begun(Period::Week, sunday - 3, sunday + 1), "a relay that was down over the Monday");
        let november_30 = sunday + 8;
        assert!(!begun(Period::Month, november_30 - 1, november_30));
        assert!(begun(Period::Month, november_30, november_30 + 1));
        assert!(begun(Period::Month, sunday, sunday + 400));
    }
}
