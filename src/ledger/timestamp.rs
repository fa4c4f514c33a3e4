//! A time as its author wrote it, and the text by which it is hashed.

use core::fmt::Write;

/// The text of a [`Timestamp`]: 39 digits and a sign at most.
pub type TimestampText = heapless::String<40>;

/// Seconds since 1970-01-01T00:00:00Z.
///
/// An integer and a float of the same value hash differently (PROTOCOL.md section 2), so the
/// author's choice is kept. Integers are limited to 128 bits; desktop nodes know no limit, but
/// they only ever write floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Timestamp {
    /// Written without a fraction or an exponent.
    Integer(i128),
    /// Written with one; always finite.
    Float(f64),
}

impl Timestamp {
    /// The time `micros` microseconds after 1970, as a float: exact to the microsecond until 2255.
    pub fn from_micros(micros: u64) -> Timestamp {
        Timestamp::Float(micros as f64 / 1e6)
    }

    /// The value in seconds, rounded to a double.
    pub fn seconds(self) -> f64 {
        match self {
            Timestamp::Integer(value) => value as f64,
            Timestamp::Float(value) => value,
        }
    }

    /// The later of the two: a new block never goes back behind the tip (PROTOCOL.md section 3).
    pub fn max(self, other: Timestamp) -> Timestamp {
        if other.seconds() > self.seconds() {
            other
        } else {
            self
        }
    }

    /// The text that is hashed (PROTOCOL.md section 2, "Numbers"): Python's `repr`.
    pub fn text(self) -> TimestampText {
        let mut text = TimestampText::new();
        match self {
            Timestamp::Integer(value) => write!(text, "{value}"),
            Timestamp::Float(value) => write_float(&mut text, value),
        }
        .expect("40 bytes hold every 128-bit integer and every double");
        text
    }
}

/// The shortest digits that read back to the same double, as `d.ddde-5`.
///
/// Where two are equally short and equally near, Python takes the even one and std's shortest form
/// the greater (1795396521.00390625 ends in 62, not in 63: about one time in 65,000 is like that).
/// So the value is rounded to as many digits once more, by the form that rounds ties to even; at
/// powers of two that can miss the value, and then there was no tie.
fn shortest(value: f64) -> Result<heapless::String<32>, core::fmt::Error> {
    let mut shortest = heapless::String::<32>::new();
    write!(shortest, "{value:e}")?;
    let mantissa = shortest.split('e').next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let mut rounded = heapless::String::<32>::new();
    write!(rounded, "{value:.*e}", digits.saturating_sub(1))?;
    let same = rounded.parse() == Ok(value);
    Ok(if same { rounded } else { shortest })
}

/// Lays out the shortest digits as Python does.
fn write_float(out: &mut TimestampText, value: f64) -> core::fmt::Result {
    let scientific = shortest(value)?;
    let (mantissa, exponent) = scientific
        .split_once('e')
        .expect("the e format has an exponent");
    let exponent: i32 = exponent.parse().map_err(|_| core::fmt::Error)?;
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (first, rest) = mantissa.split_at(1);
    let rest = rest.trim_start_matches('.');
    out.write_str(sign)?;
    if !(-4..16).contains(&exponent) {
        let point = if rest.is_empty() { "" } else { "." };
        return write!(out, "{first}{point}{rest}e{exponent:+03}");
    }
    if exponent < 0 {
        let zeros = usize::try_from(-exponent - 1).expect("the exponent is negative");
        return write!(out, "0.{:0<zeros$}{first}{rest}", "");
    }
    let whole = usize::try_from(exponent).expect("the exponent is not negative");
    if rest.len() <= whole {
        write!(out, "{first}{rest:0<whole$}.0")
    } else {
        let (whole, fraction) = rest.split_at(whole);
        write!(out, "{first}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_look_like_pythons() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e-5, "1.25e-05"),
            (0.0001, "0.0001"),
            (0.00012, "0.00012"),
            (123.456, "123.456"),
            (-1e-100, "-1e-100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (-5e-324, "-5e-324"),
            // Ties between two shortest forms, and a power of two, next to which there are none.
            (1795396521.0 + 1.0 / 256.0, "1795396521.0039062"),
            (1795396521.0 + 3.0 / 256.0, "1795396521.0117188"),
            (78955895441924.0 + 5.0 / 8.0, "78955895441924.62"),
            (5.684341886080802e-14, "5.684341886080802e-14"),
        ] {
            assert_eq!(Timestamp::Float(value).text(), text);
        }
        assert_eq!(
            Timestamp::Integer(i128::MIN).text(),
            "-170141183460469231731687303715884105728"
        );
    }

    #[test]
    fn the_later_time_wins_and_keeps_its_form() {
        let five = Timestamp::Integer(5);
        assert_eq!(Timestamp::Float(4.5).max(five), five);
        assert_eq!(five.max(Timestamp::Float(4.5)), five);
    }
}
