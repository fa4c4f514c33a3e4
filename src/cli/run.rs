//! The arguments of a node.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lexopt::prelude::{Long, Short, Value};

use super::{PORT_DEFAULT, Subcommand, Usage};
use super::{default_data_dir, parse_difficulty, parse_directory, sentence, text};
use crate::limits::{CONSOLES_NAMED, ITEMS_MAX, STAGING_MIB};
use crate::shell::Settings;
use crate::shell::console::{ConsoleSpec, serial};
use crate::wire::address::{digits, parse_host_port, parse_port, unbracketed};

/// The options as `--help` shows them: names, two spaces or more, meaning.
pub const OPTIONS: [&str; 12] = [
    "    --bind ADDR          IP address to listen on (0.0.0.0)",
    "    --connect HOST:PORT  dial this peer at start and keep dialing it; may be repeated",
    "    --data-dir DIR       where the files lie (~/.databox/material/PORT/)",
    "    --difficulty N       leading hex zeros of a block's hash (2, or the data directory's own)",
    "    --scrub HOURS        time from one check of the chain file to the next, or off (24)",
    "    --orphans WHAT       transactions that a longer chain disconnects: remake them, or drop",
    "    --items-max N        a chain with more items than this is not followed (200000)",
    "    --staging-max MIB    a longer chain is not compared with ours (256)",
    "    --console PLACE      where the menu is; may be repeated",
    "    --headless           the same as --console none",
    "-h, --help               print this",
    "-V, --version            print the version",
];

/// Where a console can be, as `--help` shows it.
pub const CONSOLES: &str = "
  PLACE is stdio, none, DEVICE[:BAUD] (a serial line, such as /dev/serial0:115200), or unix:PATH
  (a control socket, for blx ctl). Without --console the menu is on standard input and output, and
  nowhere where standard input is /dev/null.
";

/// Reads the arguments.
pub fn parse(mut parser: lexopt::Parser, home: Option<OsString>) -> Usage<Subcommand> {
    let mut port = None;
    let mut bind = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let mut connect = Vec::new();
    let mut data_dir = None;
    let mut difficulty = None;
    let mut scrub_hours = Some(24);
    let mut consoles: Option<Vec<ConsoleSpec>> = None;
    let mut drop_disconnected = false;
    let (mut items_max, mut staging_mib) = (ITEMS_MAX, STAGING_MIB);
    while let Some(argument) = parser.next().map_err(sentence)? {
        match argument {
            Short('h') | Long("help") => return Ok(Subcommand::Help),
            Short('V') | Long("version") => return Ok(Subcommand::Version),
            Long("bind") => bind = parse_bind(&text(&mut parser)?)?,
            Long("connect") => connect.push(
                parse_host_port(&text(&mut parser)?)
                    .map_err(|error| format!("--connect: {error}"))?,
            ),
            Long("data-dir") => data_dir = Some(parse_directory(&mut parser)?),
            Long("difficulty") => difficulty = Some(parse_difficulty(&text(&mut parser)?)?),
            Long("scrub") => scrub_hours = parse_scrub(&text(&mut parser)?)?,
            Long("orphans") => drop_disconnected = parse_orphans(&text(&mut parser)?)?,
            Long("items-max") => items_max = parse_items_max(&text(&mut parser)?)?,
            Long("staging-max") => staging_mib = parse_staging_max(&text(&mut parser)?)?,
            Long("headless") => consoles = Some(consoles.unwrap_or_default()),
            Long("console") => {
                let spec = parse_console(&text(&mut parser)?)?;
                add_console(consoles.get_or_insert_default(), spec)?;
            }
            Value(value) if port.is_none() => port = Some(parse_port(&value.to_string_lossy())?),
            other => return Err(sentence(other.unexpected())),
        }
    }
    let port = port.unwrap_or(PORT_DEFAULT);
    let data_dir = match data_dir {
        Some(directory) => directory,
        None => default_data_dir(home, port)?,
    };
    Ok(Subcommand::Run(Settings {
        listen: SocketAddr::new(bind, port),
        data_dir,
        difficulty,
        connect,
        scrub_hours,
        consoles,
        drop_disconnected,
        items_max,
        staging_mib,
    }))
}

fn parse_bind(text: &str) -> Usage<IpAddr> {
    let inner = unbracketed(text).unwrap_or(text);
    inner.parse().map_err(|_| {
        format!("--bind needs an IP address of this machine, such as 0.0.0.0 or ::, not {text:?}")
    })
}

fn parse_scrub(text: &str) -> Usage<Option<u32>> {
    match digits(text).map(u32::try_from) {
        Some(Ok(hours @ 1..=8_760)) => Ok(Some(hours)),
        _ if text == "off" => Ok(None),
        _ => Err(format!(
            "--scrub must be a number of hours from 1 to 8760, or off, not {text:?}"
        )),
    }
}

fn parse_orphans(text: &str) -> Usage<bool> {
    match text {
        "drop" => Ok(true),
        "remake" => Ok(false),
        _ => Err(format!("--orphans must be remake or drop, not {text:?}")),
    }
}

fn parse_items_max(text: &str) -> Usage<usize> {
    match digits(text).map(usize::try_from) {
        Some(Ok(items @ 1..=100_000_000)) => Ok(items),
        _ => Err(format!(
            "--items-max must be a number of items from 1 to 100000000, not {text:?}"
        )),
    }
}

fn parse_staging_max(text: &str) -> Usage<u64> {
    match digits(text) {
        Some(mib @ 1..=1_000_000) => Ok(mib),
        _ => Err(format!(
            "--staging-max must be a number of MiB from 1 to 1000000, not {text:?}"
        )),
    }
}

/// Nothing, if there is to be no console.
fn parse_console(text: &str) -> Usage<Option<ConsoleSpec>> {
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(Some(ConsoleSpec::Socket(path.into())));
    }
    let (device, speed) = match text.rsplit_once(':') {
        // Names below /dev/serial/by-path have colons of their own.
        Some((device, speed)) if digits(speed).is_some() => (device, digits(speed)),
        _ => (text, Some(u64::from(serial::SPEED_DEFAULT))),
    };
    let speed = speed.and_then(|speed| u32::try_from(speed).ok());
    match (text, speed) {
        ("stdio", _) => Ok(Some(ConsoleSpec::Standard)),
        ("none", _) => Ok(None),
        (_, Some(speed @ 50..=4_000_000)) if device.starts_with('/') => {
            Ok(Some(ConsoleSpec::Serial(device.into(), speed)))
        }
        _ if device.starts_with('/') => Err(format!(
            "--console: the speed must be from 50 to 4000000 bits a second, not in {text:?}"
        )),
        _ => Err(format!(
            "--console must be stdio, none, unix:PATH, or a device such as /dev/serial0:115200, \
             not {text:?}"
        )),
    }
}

fn add_console(consoles: &mut Vec<ConsoleSpec>, spec: Option<ConsoleSpec>) -> Usage<()> {
    let Some(spec) = spec else { return Ok(()) };
    let path = |spec: &ConsoleSpec| match spec {
        ConsoleSpec::Standard => None,
        ConsoleSpec::Serial(path, _) | ConsoleSpec::Socket(path) => Some(path.clone()),
    };
    if consoles.iter().any(|other| path(other) == path(&spec)) {
        return Err("--console names the same place twice".to_owned());
    }
    if consoles.len() == CONSOLES_NAMED {
        return Err(format!("more than {CONSOLES_NAMED} consoles are too many"));
    }
    consoles.push(spec);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(words: &[&str]) -> Settings {
        match parse_words(words) {
            Ok(Subcommand::Run(settings)) => settings,
            other => panic!("{words:?} became {other:?}"),
        }
    }

    fn parse_words(words: &[&str]) -> Usage<Subcommand> {
        parse(
            lexopt::Parser::from_args(words.iter().map(OsString::from)),
            Some("/home/u".into()),
        )
    }

    fn refused(words: &[&str]) -> String {
        parse_words(words).expect_err("is wrong usage")
    }

    #[test]
    fn without_arguments_everything_has_its_default() {
        let expected = Settings {
            listen: ([0, 0, 0, 0], 6000).into(),
            data_dir: "/home/u/.databox/material/6000".into(),
            difficulty: None,
            connect: Vec::new(),
            scrub_hours: Some(24),
            consoles: None,
            drop_disconnected: false,
            items_max: 200_000,
            staging_mib: 256,
        };
        assert_eq!(settings(&[]), expected);
    }

    #[test]
    fn every_option_is_read() {
        let words = [
            "--bind=::1",
            "6001",
            "--connect",
            "pi:6000",
            "--connect=[::1]:6002",
            "--data-dir",
            "/tmp/x",
            "--difficulty",
            "3",
            "--orphans=drop",
            "--items-max=20",
            "--staging-max",
            "64",
            "--headless",
        ];
        let expected = Settings {
            listen: "[::1]:6001".parse().expect("an address"),
            data_dir: "/tmp/x".into(),
            difficulty: Some(3),
            connect: vec![("pi".to_owned(), 6000), ("::1".to_owned(), 6002)],
            scrub_hours: Some(24),
            consoles: Some(Vec::new()),
            drop_disconnected: true,
            items_max: 20,
            staging_mib: 64,
        };
        assert_eq!(settings(&words), expected);
    }

    #[test]
    fn a_port_is_checked() {
        assert_eq!(
            refused(&["70000"]),
            "the port must be a number from 1 to 65535, not \"70000\""
        );
    }

    #[test]
    fn an_address_to_listen_on_is_an_ip_address() {
        assert_eq!(
            settings(&["--bind", "[::1]"]).listen,
            settings(&["--bind", "::1"]).listen
        );
        for text in ["localhost", "", "1.2.3", "[1.2.3.4", "::1]"] {
            assert!(refused(&["--bind", text]).starts_with("--bind needs an IP address"));
        }
    }

    #[test]
    fn a_peer_needs_a_port() {
        assert!(refused(&["--connect", "host"]).starts_with("--connect: expected"));
        assert!(refused(&["--connect", "host:0"]).contains("from 1 to 65535"));
    }

    #[test]
    fn difficulty_has_a_limit() {
        assert_eq!(settings(&["--difficulty", "0"]).difficulty, Some(0));
        assert_eq!(settings(&["--difficulty", "16"]).difficulty, Some(16));
        refused(&["--orphans", "keep"]);
        for text in ["0", "-1", "all", "", "99999999999999999999"] {
            let error = refused(&[&format!("--items-max={text}")]);
            assert!(error.contains("from 1 to 100000000"), "{error}");
            let error = refused(&[&format!("--staging-max={text}")]);
            assert!(error.contains("from 1 to 1000000"), "{error}");
        }
        for text in ["17", "-1", "two", "", "256"] {
            let error = refused(&[&format!("--difficulty={text}")]);
            assert!(error.contains("from 0 to 16"), "{error}");
        }
    }

    #[test]
    fn without_a_home_the_directory_must_be_given() {
        for home in [None, Some(OsString::new())] {
            let error = super::super::parse([], home.clone()).expect_err("has no directory");
            assert!(
                error.contains("HOME") && error.contains("--data-dir"),
                "{error}"
            );
            super::super::parse(["--data-dir=x".into()], home).expect("is given");
        }
        refused(&["--data-dir="]);
    }

    #[test]
    fn other_words_are_refused() {
        refused(&["6000", "6001"]);
        refused(&["--no-such-option"]);
        refused(&["--connect"]);
        refused(&["--headless=yes"]);
        refused(&["-x"]);
    }

    #[test]
    fn consoles_are_named_by_where_they_are() {
        let consoles = |words: &[&str]| settings(words).consoles;
        let expected = vec![
            ConsoleSpec::Standard,
            ConsoleSpec::Serial("/dev/serial0".into(), 115_200),
            ConsoleSpec::Serial("/dev/ttyUSB0".into(), 9_600),
            ConsoleSpec::Socket("/run/blx/blx.sock".into()),
        ];
        let words = [
            "--console=stdio",
            "--console=/dev/serial0",
            "--console=/dev/ttyUSB0:9600",
            "--console=none",
            "--console=unix:/run/blx/blx.sock",
        ];
        assert_eq!(consoles(&words), Some(expected));
        assert_eq!(consoles(&["--console", "none"]), Some(Vec::new()));
        let place = "/dev/serial/by-path/pci-0:1.2:1.0-port0";
        assert_eq!(
            consoles(&["--console", place]),
            Some(vec![ConsoleSpec::Serial(place.into(), 115_200)])
        );
        for wrong in [
            "ttyUSB0",
            "",
            "unix:",
            "/dev/ttyS0:49",
            "/dev/ttyS0:4000001",
        ] {
            assert!(
                refused(&["--console", wrong]).starts_with("--console"),
                "{wrong}"
            );
        }
        let twice = refused(&["--console=/dev/ttyS0:9600", "--console=/dev/ttyS0"]);
        assert_eq!(twice, "--console names the same place twice");
        let nine: Vec<String> = (0..9).map(|n| format!("--console=unix:{n}")).collect();
        let nine: Vec<&str> = nine.iter().map(String::as_str).collect();
        assert_eq!(refused(&nine), "more than 8 consoles are too many");
        settings(&nine[..8]);
    }
}
