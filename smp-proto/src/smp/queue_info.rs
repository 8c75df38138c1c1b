//! What a relay tells the recipient about a queue, as JSON: the answer to `QUE` (wire reference, section 7.6).

use super::json::{JsonString, Object, write_integer};
use crate::id::MessageId;
use crate::wire::{Error, Reader, Time, Writer, base64_url_encode};

/// The state of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueInfo<'a> {
    /// Whether a sender key is set.
    pub secured: bool,
    /// Whether there are notification credentials.
    pub notifications: bool,
    /// This connection's subscription; absent when it has none.
    pub subscription: Option<SubscriptionInfo<'a>>,
    /// How many messages wait.
    pub size: i64,
    /// The message that would be delivered next.
    pub head: Option<HeadMessage<'a>>,
}

/// A connection's subscription to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionInfo<'a> {
    /// What the relay does for it.
    pub state: SubscriptionState,
    /// The message that waits for its acknowledgement, in base64.
    pub delivered: Option<JsonString<'a>>,
}

/// How a relay serves a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubscriptionState {
    /// `noSub`: nothing is waiting to be delivered.
    Idle,
    /// `subPending`: a delivery is about to start.
    Pending,
    /// `subThread`: a delivery waits for room on the connection.
    Delivering,
    /// `prohibitSub`: this connection used `GET` instead.
    Prohibited,
}

/// A waiting message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadMessage<'a> {
    /// Its id in base64, standard alphabet; [`MessageIdText`] makes it.
    pub message_id: JsonString<'a>,
    /// When the relay received it, in ISO 8601; [`TimeText`] makes it.
    pub time: JsonString<'a>,
    /// What it is.
    pub kind: MessageKind,
}

/// What a relay keeps in queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// A sender's message.
    Message,
    /// The mark that messages were refused because the queue was full.
    Quota,
}

impl<'a> QueueInfo<'a> {
    /// Reads the JSON that fills everything the reader has left. Unknown members are ignored.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let (mut secured, mut notifications, mut size) = (None, None, None);
        let (mut subscription, mut head) = (None, None);
        Object::from_json(reader.rest())?.read(|key, value| {
            match key {
                "qiSnd" => secured = Some(value.boolean()?),
                "qiNtf" => notifications = Some(value.boolean()?),
                "qiSub" => subscription = value.nullable(|value| SubscriptionInfo::read(value.object()?))?,
                "qiSize" => size = Some(value.integer()?),
                "qiMsg" => head = value.nullable(|value| HeadMessage::read(value.object()?))?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self {
            secured: secured.ok_or(Error::Invalid)?,
            notifications: notifications.ok_or(Error::Invalid)?,
            subscription,
            size: size.ok_or(Error::Invalid)?,
            head,
        })
    }

    /// Writes compact JSON without absent members.
    pub fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let boolean = |value| if value { &b"true"[..] } else { b"false" };
        writer.bytes(b"{\"qiSnd\":")?;
        writer.bytes(boolean(self.secured))?;
        writer.bytes(b",\"qiNtf\":")?;
        writer.bytes(boolean(self.notifications))?;
        if let Some(subscription) = &self.subscription {
            writer.bytes(b",\"qiSub\":")?;
            subscription.encode(writer)?;
        }
        writer.bytes(b",\"qiSize\":")?;
        write_integer(writer, self.size)?;
        if let Some(head) = &self.head {
            writer.bytes(b",\"qiMsg\":")?;
            head.encode(writer)?;
        }
        writer.u8(b'}')
    }
}

impl<'a> SubscriptionInfo<'a> {
    fn read(object: Object<'a>) -> Result<Self, Error> {
        let (mut state, mut delivered) = (None, None);
        object.read(|key, value| {
            match key {
                "qSubThread" => {
                    let text = value.string()?;
                    state = SubscriptionState::ALL.into_iter().find(|state| text == *state.name());
                }
                "qDelivered" => delivered = value.nullable(|value| value.string())?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self { state: state.ok_or(Error::Invalid)?, delivered })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.bytes(b"{\"qSubThread\":\"")?;
        writer.bytes(self.state.name().as_bytes())?;
        writer.u8(b'"')?;
        if let Some(delivered) = &self.delivered {
            writer.bytes(b",\"qDelivered\":")?;
            delivered.encode(writer)?;
        }
        writer.u8(b'}')
    }
}

impl SubscriptionState {
    const ALL: [Self; 4] = [Self::Idle, Self::Pending, Self::Delivering, Self::Prohibited];

    const fn name(self) -> &'static str {
        match self {
            Self::Idle => "noSub",
            Self::Pending => "subPending",
            Self::Delivering => "subThread",
            Self::Prohibited => "prohibitSub",
        }
    }
}

impl<'a> HeadMessage<'a> {
    fn read(object: Object<'a>) -> Result<Self, Error> {
        let (mut message_id, mut time, mut kind) = (None, None, None);
        object.read(|key, value| {
            match key {
                "msgId" => message_id = Some(value.string()?),
                "msgTs" => time = Some(value.string()?),
                "msgType" => {
                    let text = value.string()?;
                    kind = [MessageKind::Message, MessageKind::Quota].into_iter().find(|kind| text == *kind.name());
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self {
            message_id: message_id.ok_or(Error::Invalid)?,
            time: time.ok_or(Error::Invalid)?,
            kind: kind.ok_or(Error::Invalid)?,
        })
    }

    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.bytes(b"{\"msgId\":")?;
        self.message_id.encode(writer)?;
        writer.bytes(b",\"msgTs\":")?;
        self.time.encode(writer)?;
        writer.bytes(b",\"msgType\":\"")?;
        writer.bytes(self.kind.name().as_bytes())?;
        writer.bytes(b"\"}")
    }
}

impl MessageKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Quota => "quota",
        }
    }
}

/// A message id as queue information shows it: base64, standard alphabet, with padding.
#[derive(Clone, Debug)]
pub struct MessageIdText {
    text: [u8; 340],
    length: usize,
}

impl MessageIdText {
    /// The text of an id.
    #[must_use]
    pub fn new(id: MessageId<'_>) -> Self {
        let mut text = [0; 340];
        let length = base64_url_encode(id.as_bytes(), true, &mut text).map_or(0, str::len);
        for byte in &mut text {
            match byte {
                b'-' => *byte = b'+',
                b'_' => *byte = b'/',
                _ => {}
            }
        }
        Self { text, length }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.get(..self.length).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

/// A time as queue information shows it, such as `2023-11-14T22:13:20Z`.
#[derive(Clone, Debug)]
pub struct TimeText([u8; 20]);

impl TimeText {
    /// The text of a time in the years 0 to 9999; others show the nearest of these.
    #[must_use]
    pub fn new(time: Time) -> Self {
        const DAY: i64 = 86_400;
        // Year 0 and the end of year 9999.
        let seconds = time.0.clamp(-62_167_219_200, 253_402_300_799);
        let (days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let (year, month, day) = civil(days);
        let mut text = *b"0000-00-00T00:00:00Z";
        let mut put = |position: usize, width: usize, mut value: i64| {
            for digit in text.iter_mut().skip(position).take(width).rev() {
                *digit = u8::try_from(value.rem_euclid(10)).unwrap_or(0).saturating_add(b'0');
                value = value.div_euclid(10);
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, second.div_euclid(3600));
        put(14, 2, second.div_euclid(60).rem_euclid(60));
        put(17, 2, second.rem_euclid(60));
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01.
#[expect(clippy::arithmetic_side_effects, reason = "the caller clamps the days to those of 10,000 years")]
const fn civil(days: i64) -> (i64, i64, i64) {
    // Years that start in March, in eras of 400 years, so that leap days come last.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_civil() {
        let known = [
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
        ];
        for (seconds, text) in known {
            assert_eq!(TimeText::new(Time(seconds)).as_str(), text, "{seconds}");
        }
    }

    #[test]
    fn message_ids_use_the_standard_alphabet() {
        assert_eq!(MessageIdText::new(MessageId::new(&[0xff, 0xef, 0xfe]).unwrap()).as_str(), "/+/+");
        assert_eq!(MessageIdText::new(MessageId::new(&[0xff, 0xef]).unwrap()).as_str(), "/+8=");
        assert_eq!(MessageIdText::new(MessageId::EMPTY).as_str(), "");
        assert_eq!(MessageIdText::new(MessageId::new(&[0; 255]).unwrap()).as_str(), "A".repeat(340));
    }

    #[test]
    fn a_relay_writes_what_clients_read() {
        let id = MessageIdText::new(MessageId::from_array(&[7; 24]));
        let time = TimeText::new(Time(1_700_000_000));
        let info = QueueInfo {
            secured: true,
            notifications: false,
            subscription: Some(SubscriptionInfo {
                state: SubscriptionState::Delivering,
                delivered: Some(JsonString::new(id.as_str())),
            }),
            size: 3,
            head: Some(HeadMessage {
                message_id: JsonString::new(id.as_str()),
                time: JsonString::new(time.as_str()),
                kind: MessageKind::Quota,
            }),
        };
        let mut buffer = [0; 500];
        let mut writer = Writer::new(&mut buffer);
        info.encode(&mut writer).unwrap();
        let expected = br#"{"qiSnd":true,"qiNtf":false,"qiSub":{"qSubThread":"subThread","qDelivered":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"},"qiSize":3,"qiMsg":{"msgId":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH","msgTs":"2023-11-14T22:13:20Z","msgType":"quota"}}"#;
        assert_eq!(writer.written(), expected);
        assert_eq!(QueueInfo::decode(&mut Reader::new(expected)), Ok(info));
    }

    #[test]
    fn readers_are_lenient_about_the_rest() {
        let odd = br#" {"qiMsg":null,"qiSub":{"other":[1],"qSubThread":"noSub","qDelivered":null},"new":{"x":"}"},"qiSize":0,"qiNtf":true,"qiSnd":false} "#;
        let info = QueueInfo::decode(&mut Reader::new(odd)).unwrap();
        assert_eq!(info.head, None);
        assert_eq!(info.subscription, Some(SubscriptionInfo { state: SubscriptionState::Idle, delivered: None }));
        assert!(info.notifications && !info.secured);
        for missing in [
            &br#"{"qiSnd":true,"qiNtf":true}"#[..],
            br#"{"qiSnd":true,"qiSize":1}"#,
            br#"{"qiNtf":true,"qiSize":1}"#,
            br#"{"qiSnd":1,"qiNtf":true,"qiSize":1}"#,
        ] {
            assert!(QueueInfo::decode(&mut Reader::new(missing)).is_err());
        }
    }
}
