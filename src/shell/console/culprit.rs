//! Who is in the way of a serial device, and what to do about it.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::shell::reason;

/// Where the system tells of itself; somewhere else in tests.
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
    if has_getty(system, name, &device) {
        return Some(format!(
            "serial-getty@{name} is using it: sudo systemctl mask --now serial-getty@{name}.service"
        ));
    }
    let consoles = fs::read_to_string(system.processes.join("consoles")).ok()?;
    let mut consoles = consoles.lines().filter_map(|line| line.split(' ').next());
    consoles.any(|console| console == name).then(|| {
        let alias = fs::canonicalize(&system.alias).is_ok_and(|alias| alias == device);
        let shown = if alias { "serial0" } else { name };
        format!("the kernel console is on it: remove console={shown} from cmdline.txt")
    })
}

/// Whether a login prompt waits on a line: agetty(8) is told its name as an argument.
fn has_getty(system: &System, name: &str, device: &Path) -> bool {
    let processes = fs::read_dir(&system.processes).into_iter().flatten();
    let commands = processes.filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    commands.into_iter().any(|command| {
        let mut words = command.split(|byte| *byte == 0);
        let program = words.next().unwrap_or_default();
        let names = [name.as_bytes(), device.as_os_str().as_bytes()];
        program.ends_with(b"getty") && words.any(|word| names.contains(&word))
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
        for folder in ["proc/1", "proc/77", "etc", "dev"] {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        fs::write(at("dev/ttyAMA0"), "").expect("writes");
        std::os::unix::fs::symlink("ttyAMA0", at("dev/serial0")).expect("a link");
        fs::write(at("proc/1/cmdline"), "/sbin/init\0").expect("writes");
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

    #[test]
    fn a_login_prompt_is_named() {
        let (root, system, device) = system();
        let command = "/sbin/agetty\0-o\0-p -- \\u\0--keep-baud\x00115200,57600\0ttyAMA0\0vt220\0";
        fs::write(root.path().join("proc/77/cmdline"), command).expect("writes");
        let expected = "serial-getty@ttyAMA0 is using it: \
                        sudo systemctl mask --now serial-getty@ttyAMA0.service";
        assert_eq!(on(&system, &device).as_deref(), Some(expected));
        let other = command.replace("ttyAMA0", "ttyAMA01");
        fs::write(root.path().join("proc/77/cmdline"), other).expect("writes");
        assert_eq!(on(&system, &device), None);
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
