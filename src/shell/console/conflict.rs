//! Conflicts over a serial device: what else uses it, and what to do about that.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::shell::reason;

/// Where the system describes itself; somewhere else in tests.
#[derive(Debug)]
pub struct System {
    /// `/proc`.
    pub processes: PathBuf,
    /// `/etc`.
    pub settings: PathBuf,
    /// The name that the boot loader of a Raspberry Pi has for its serial console.
    pub alias: PathBuf,
}

impl Default for System {
    fn default() -> System {
        System {
            processes: "/proc".into(),
            settings: "/etc".into(),
            alias: "/dev/serial0".into(),
        }
    }
}

/// Who else uses a device that could be opened nevertheless: a clause with the way out.
pub fn on(system: &System, path: &Path) -> Option<String> {
    let device = fs::canonicalize(path).ok()?;
    let name = device.file_name()?.to_str()?;
    let terminal = terminal_number(fs::metadata(&device).ok()?.rdev());
    user(system, name, terminal).or_else(|| kernel(system, name, &device))
}

/// Who has it as the terminal of a session: a login prompt, or what was started by a login. The
/// arguments of agetty(8) do not tell, since systemd gives it its terminal as standard input.
fn user(system: &System, name: &str, terminal: u32) -> Option<String> {
    let processes = fs::read_dir(&system.processes).into_iter().flatten();
    let mut stats =
        processes.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    let (program, process) = stats.find_map(|stat| leads_session(&stat, terminal))?;
    if process == std::process::id() {
        return None;
    }
    Some(match program.ends_with("getty") || program == "login" {
        true => format!(
            "serial-getty@{name} is using it: sudo systemctl mask --now serial-getty@{name}.service"
        ),
        false => format!("{program} (process {process}) is using it"),
    })
}

/// The name and number of a process if it leads the session on this terminal, from
/// `/proc/NUMBER/stat` (proc(5)). There is one such session at most.
fn leads_session(stat: &str, terminal: u32) -> Option<(String, u32)> {
    // The name may have spaces and parentheses in it.
    let (process, rest) = stat.split_once(" (")?;
    let (program, rest) = rest.rsplit_once(") ")?;
    // Behind the name: state, parent, group, session, terminal.
    let mut fields = rest.split(' ').skip(3);
    let leads = fields.next()? == process;
    let number: i32 = fields.next()?.parse().ok()?;
    // 0 stands for no terminal.
    let is_its = number != 0 && number as u32 == terminal;
    (leads && is_its).then_some((program.to_owned(), process.parse().ok()?))
}

/// How `/proc/NUMBER/stat` writes the number of a device; nothing that is no device.
fn terminal_number(device: u64) -> u32 {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

fn kernel(system: &System, name: &str, device: &Path) -> Option<String> {
    let consoles = fs::read_to_string(system.processes.join("consoles")).ok()?;
    let mut consoles = consoles.lines().filter_map(|line| line.split(' ').next());
    consoles.any(|console| console == name).then(|| {
        let alias = fs::canonicalize(&system.alias).is_ok_and(|alias| alias == *device);
        let shown = if alias { "serial0" } else { name };
        format!("the kernel console is on it: remove console={shown} from cmdline.txt")
    })
}

/// Why a device cannot be opened: a clause, with the way out if there is a known one.
pub fn refused(system: &System, path: &Path, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => not_in_group(system, path).unwrap_or_else(|| reason(error)),
        ErrorKind::ResourceBusy => "another program is using it".into(),
        _ => reason(error),
    }
}

fn not_in_group(system: &System, path: &Path) -> Option<String> {
    let group = fs::metadata(path).ok()?.gid();
    let own = rustix::process::getgroups().ok()?;
    if own.iter().any(|own| own.as_raw() == group) {
        return None;
    }
    let group = name(system, "group", group)?;
    let user = name(system, "passwd", rustix::process::geteuid().as_raw())?;
    Some(format!(
        "not in group {group}: sudo usermod -aG {group} {user}"
    ))
}

/// The name with this number in a file of the form `NAME:PASSWORD:NUMBER:...`.
fn name(system: &System, file: &str, number: u32) -> Option<String> {
    let text = fs::read_to_string(system.settings.join(file)).ok()?;
    let number = number.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system of files, and a device with a second name in it.
    fn system() -> (tempfile::TempDir, System, PathBuf) {
        let root = tempfile::tempdir().expect("a directory");
        let at = |name: &str| root.path().join(name);
        for folder in ["proc/1", "proc/76", "proc/77", "etc", "dev"] {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        fs::write(at("dev/ttyAMA0"), "").expect("writes");
        std::os::unix::fs::symlink("ttyAMA0", at("dev/serial0")).expect("a link");
        fs::write(at("proc/1/stat"), "1 (systemd) S 0 1 1 0 -1 4194560 9 0").expect("writes");
        fs::write(at("proc/consoles"), "tty1  -WU (EC  p  )  4:1\n").expect("writes");
        let system = System {
            processes: at("proc"),
            settings: at("etc"),
            alias: at("dev/serial0"),
        };
        let device = at("dev/serial0");
        (root, system, device)
    }

    #[test]
    fn nobody_is_in_the_way() {
        let (_root, system, device) = system();
        assert_eq!(on(&system, &device), None);
    }

    /// A session of a terminal with what leads it and what that has started.
    fn process(root: &Path, name: &str, terminal: u32) {
        for (number, name) in [(76, "vi"), (77, name)] {
            let rest = format!("S 1 77 77 {} 77 4194560 204 0 0", terminal as i32);
            let stat = format!("{number} ({name}) {rest}");
            fs::write(root.join(format!("proc/{number}/stat")), stat).expect("writes");
        }
    }

    #[test]
    fn a_login_prompt_is_named() {
        let (root, system, _device) = system();
        let terminal = terminal_number(rustix::fs::makedev(204, 64));
        assert_eq!(terminal, 52_288);
        let named = "serial-getty@ttyAMA0 is using it: \
                     sudo systemctl mask --now serial-getty@ttyAMA0.service";
        for (program, expected) in [
            ("agetty", named),
            ("login", named),
            (") S 1 (x", ") S 1 (x (process 77) is using it"),
        ] {
            process(root.path(), program, terminal);
            let found = user(&system, "ttyAMA0", terminal);
            assert_eq!(found.as_deref(), Some(expected));
            assert_eq!(user(&system, "ttyAMA1", terminal + 1), None);
        }
    }

    #[test]
    fn every_number_of_a_terminal_is_found() {
        let (root, system, _device) = system();
        for (major, minor) in [(4, 64), (136, 0), (136, 255), (136, 256), (4095, 0xf_ffff)] {
            let terminal = terminal_number(rustix::fs::makedev(major, minor));
            process(root.path(), "agetty", terminal);
            assert!(user(&system, "x", terminal).is_some(), "{major}:{minor}");
        }
        // A process without a terminal, and a file that is none.
        process(root.path(), "agetty", 0);
        assert_eq!(user(&system, "x", terminal_number(0)), None);
    }

    #[test]
    fn the_kernel_is_named() {
        let (root, system, device) = system();
        let consoles = "tty1  -WU (EC  p  )  4:1\nttyAMA0  -W- (E   p a)  204:64\n";
        fs::write(root.path().join("proc/consoles"), consoles).expect("writes");
        let expected = "the kernel console is on it: remove console=serial0 from cmdline.txt";
        assert_eq!(on(&system, &device).as_deref(), Some(expected));
        fs::remove_file(root.path().join("dev/serial0")).expect("removes");
        let device = root.path().join("dev/ttyAMA0");
        let expected = "the kernel console is on it: remove console=ttyAMA0 from cmdline.txt";
        assert_eq!(on(&system, &device).as_deref(), Some(expected));
    }

    #[test]
    fn a_group_is_named() {
        let (root, system, device) = system();
        let group = fs::metadata(&device).expect("it is there").gid();
        let user = rustix::process::geteuid().as_raw();
        let (groups, users) = (
            format!("root:x:4711:\ndialout:x:{group}:u\n"),
            format!("nobody:x:4711:\nu:x:{user}:{group}::/:\n"),
        );
        fs::write(root.path().join("etc/group"), groups).expect("writes");
        fs::write(root.path().join("etc/passwd"), users).expect("writes");
        assert_eq!(name(&system, "group", group).as_deref(), Some("dialout"));
        assert_eq!(name(&system, "passwd", user).as_deref(), Some("u"));
        assert_eq!(name(&system, "passwd", 4712), None);
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        let own = rustix::process::getgroups().expect("groups");
        let member = own.iter().any(|own| own.as_raw() == group);
        let expected = match member {
            true => reason(&denied),
            false => "not in group dialout: sudo usermod -aG dialout u".to_owned(),
        };
        assert_eq!(refused(&system, &device, &denied), expected);
        let busy = io::Error::from(ErrorKind::ResourceBusy);
        assert_eq!(
            refused(&system, &device, &busy),
            "another program is using it"
        );
    }
}
