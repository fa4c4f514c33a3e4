//! `HOST:PORT`, as a person types it and as a peer's `sender` spells it.

use core::net::Ipv6Addr;

/// Reads a port: 1 to 65535. The error is a sentence without its full stop.
pub fn parse_port(text: &str) -> Result<u16, String> {
    digits(text)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("the port must be a number from 1 to 65535, not {text:?}"))
}

/// Reads a host: a name, an IPv4 address, or an IPv6 address with or without brackets, which are
/// taken off. Whether it exists is the resolver's to tell.
pub fn parse_host(text: &str) -> Option<&str> {
    match unbracketed(text) {
        Some(inner) if is_ipv6(inner) => Some(inner),
        None if is_name(text) || is_ipv6(text) => Some(text),
        _ => None,
    }
}

/// Reads `HOST:PORT`. The error is a sentence without its full stop.
pub fn parse_host_port(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("expected HOST:PORT, such as 192.168.1.5:6000, not {text:?}");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = parse_host(host).ok_or_else(wrong)?;
    Ok((host.to_owned(), parse_port(port)?))
}

/// What stands between brackets, if the text is in brackets.
pub fn unbracketed(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

/// The part behind `%` names the interface of a link-local address.
fn is_ipv6(text: &str) -> bool {
    let address = text.split('%').next().unwrap_or_default();
    address.parse::<Ipv6Addr>().is_ok()
}

/// A DNS name has at most 253 bytes (RFC 1035 section 2.3.4).
fn is_name(text: &str) -> bool {
    let odd =
        |letter: char| letter.is_whitespace() || letter.is_control() || ":[]".contains(letter);
    !text.is_empty() && text.len() <= 253 && !text.contains(odd)
}

/// Reads a number without a sign, which `parse` would take.
pub fn digits(text: &str) -> Option<u64> {
    let all = text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_in_range() {
        for text in [
            "0",
            "70000",
            "abc",
            "",
            "-1",
            "+5",
            "6000 ",
            "99999999999999999999",
        ] {
            let error = parse_port(text).expect_err("is no port");
            assert!(error.contains("from 1 to 65535"), "{error}");
        }
        assert_eq!(parse_port("1"), Ok(1));
        assert_eq!(parse_port("65535"), Ok(65535));
    }

    #[test]
    fn a_peer_is_a_host_and_a_port() {
        let good = [
            ("localhost:6000", "localhost"),
            ("10.0.0.7:6000", "10.0.0.7"),
            ("[::1]:6000", "::1"),
            ("::1:6000", "::1"),
            ("[fe80::1%eth0]:6000", "fe80::1%eth0"),
        ];
        for (text, host) in good {
            assert_eq!(parse_host_port(text), Ok((host.to_owned(), 6000)), "{text}");
        }
        for text in [
            "",
            "host",
            ":6000",
            "[]:6000",
            "[host]:6000",
            "a:b:6000",
            "a b:6000",
            "::1",
        ] {
            let error = parse_host_port(text).expect_err(text);
            assert!(error.contains("expected HOST:PORT"), "{error}");
        }
        for text in ["host:", "host:0", "host:70000", "host:abc"] {
            let error = parse_host_port(text).expect_err(text);
            assert!(error.contains("from 1 to 65535"), "{error}");
        }
    }
}
