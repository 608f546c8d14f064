//! Times as text.

use jiff::tz::TimeZone;
use keybearer_core::Timestamp;

/// `YYYY-MM-DD HH:MM:SS.ffffff` in local time, as Azure CLI writes it.
pub(crate) fn local(moment: Timestamp) -> String {
    in_zone(moment, TimeZone::system())
}

fn in_zone(moment: Timestamp, zone: TimeZone) -> String {
    let moment = jiff::Timestamp::from_millisecond(moment.unix_millis()).unwrap_or_default();
    moment.to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_have_six_digits_and_no_zone() {
        let moment = Timestamp::from_unix_millis(1_700_000_000_250);
        assert_eq!(in_zone(moment, TimeZone::UTC), "2023-11-14 22:13:20.250000");
        let zone = TimeZone::fixed(jiff::tz::offset(-5));
        assert_eq!(in_zone(moment, zone), "2023-11-14 17:13:20.250000");
    }
}
