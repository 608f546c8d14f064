use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use keybearer_core::{Error, Result};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A member of a JSON object as clients really send it: absent, `null` or `""` for none; the wrong
/// type is remembered instead of failing, so that the error can name the field.
#[derive(Clone, Debug, Default)]
pub(crate) enum Member<T> {
    #[default]
    Absent,
    Is(T),
    WrongType,
}

impl<T> Member<T> {
    /// The value in something a client asked.
    pub(crate) fn in_request(self, field: &'static str) -> Result<Option<T>> {
        match self {
            Self::Absent => Ok(None),
            Self::Is(value) => Ok(Some(value)),
            Self::WrongType => Err(Error::invalid_request(
                field,
                format!("{field} in the request is not of the expected JSON type"),
            )),
        }
    }

    /// The value in something a client asked, which cannot be done without it.
    pub(crate) fn required(self, field: &'static str) -> Result<T> {
        self.in_request(field)?.ok_or_else(|| {
            Error::invalid_request(field, format!("{field} is missing in the request"))
        })
    }

    /// The value in something a broker answered.
    pub(crate) fn in_reply(self, field: &'static str) -> Result<Option<T>> {
        match self {
            Self::Absent => Ok(None),
            Self::Is(value) => Ok(Some(value)),
            Self::WrongType => {
                Err(Error::protocol(format!("{field} in the broker's reply"), "another JSON type"))
            }
        }
    }

    /// The value, where a wrong one does no harm.
    pub(crate) fn lenient(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::WrongType => None,
        }
    }
}

/// What a member can be made of. Each function defaults to "not of that".
pub(crate) trait Shape<'de>: Sized {
    fn text(_: String) -> Option<Self> {
        None
    }

    fn integer(_: i64) -> Option<Self> {
        None
    }

    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl<'de> Shape<'de> for String {
    fn text(text: String) -> Option<Self> {
        Some(text)
    }
}

/// Numbers may be written as text.
impl<'de> Shape<'de> for i64 {
    fn text(text: String) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn integer(value: i64) -> Option<Self> {
        Some(value)
    }
}

/// A list of texts may be written as one, space separated.
impl<'de> Shape<'de> for Vec<String> {
    fn text(text: String) -> Option<Self> {
        Some(text.split_whitespace().map(str::to_owned).collect())
    }

    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let (mut texts, mut all_texts) = (Self::new(), true);
        while let Some(element) = list.next_element::<Member<String>>()? {
            match element {
                Member::Is(text) => texts.push(text),
                Member::Absent => {}
                Member::WrongType => all_texts = false,
            }
        }
        Ok(all_texts.then_some(texts))
    }
}

/// Values that are neither text nor numbers are left out.
impl<'de> Shape<'de> for BTreeMap<String, String> {
    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        let mut texts = Self::new();
        while let Some((key, value)) = object.next_entry::<String, Member<TextOrNumber>>()? {
            if let Member::Is(TextOrNumber(text)) = value {
                texts.insert(key, text);
            }
        }
        Ok(Some(texts))
    }
}

struct TextOrNumber(String);

impl<'de> Shape<'de> for TextOrNumber {
    fn text(text: String) -> Option<Self> {
        Some(Self(text))
    }

    fn integer(value: i64) -> Option<Self> {
        Some(Self(value.to_string()))
    }
}

/// An object with known members.
#[derive(Clone, Debug)]
pub(crate) struct Nested<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Shape<'de> for Nested<T> {
    fn object<A: MapAccess<'de>>(object: A) -> Result<Option<Self>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object)).map(|value| Some(Self(value)))
    }
}

/// A list of objects with known members; elements of another type are left out.
impl<'de, T: Deserialize<'de>> Shape<'de> for Vec<Nested<T>> {
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut objects = Self::new();
        while let Some(element) = list.next_element::<Member<Nested<T>>>()? {
            objects.extend(element.lenient());
        }
        Ok(Some(objects))
    }
}

impl<'de, T: Shape<'de>> Deserialize<'de> for Member<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor(PhantomData))
    }
}

struct MemberVisitor<T>(PhantomData<T>);

impl<'de, T: Shape<'de>> MemberVisitor<T> {
    fn of(value: Option<T>) -> Member<T> {
        value.map_or(Member::WrongType, Member::Is)
    }

    fn text(text: String) -> Member<T> {
        if text.is_empty() { Member::Absent } else { Self::of(T::text(text)) }
    }
}

impl<'de, T: Shape<'de>> Visitor<'de> for MemberVisitor<T> {
    type Value = Member<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Member::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Member::WrongType)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Self::of(T::integer(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Self::of(i64::try_from(value).ok().and_then(T::integer)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        let integer = value.is_finite().then_some(value as i64);
        Ok(Self::of(integer.and_then(T::integer)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Self::text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Self::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        T::list(list).map(Self::of)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        T::object(object).map(Self::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'de, T: Shape<'de>>(json: &'de str) -> Member<T> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn nothing_can_be_said_in_three_ways() {
        for json in ["null", r#""""#] {
            assert!(matches!(read::<String>(json), Member::Absent));
            assert!(matches!(read::<i64>(json), Member::Absent));
        }
    }

    #[test]
    fn numbers_may_be_written_as_text() {
        assert_eq!(read::<i64>(r#""1795415027000""#).lenient(), Some(1_795_415_027_000));
        assert_eq!(read::<i64>("1795415027000").lenient(), Some(1_795_415_027_000));
        assert!(matches!(read::<i64>("[1]"), Member::WrongType));
    }

    #[test]
    fn a_wrong_type_names_the_field_and_not_the_content() {
        let error = read::<String>(r#"{"a":["secret"]}"#).in_request("clientId").unwrap_err();
        assert!(error.to_string().contains("clientId"));
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn lists_of_texts_may_be_written_as_one() {
        let list = read::<Vec<String>>(r#"["a","b"]"#).lenient().unwrap();
        assert_eq!(list, read::<Vec<String>>(r#""a b""#).lenient().unwrap());
        assert!(matches!(read::<Vec<String>>("[1]"), Member::WrongType));
    }
}
