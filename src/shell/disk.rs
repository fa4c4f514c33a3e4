//! The data directory: `Disk` over `std::fs`, and the lock that keeps a second node out.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::lock::Lock;
use super::{Fault, reason, remedy};
use crate::store::disk::{Disk, DiskError, File};

/// The data directory, locked for as long as this lives.
#[derive(Debug)]
pub struct SystemDisk {
    path: PathBuf,
    directory: fs::File,
    files: [OpenFile; File::COUNT],
    lock: Lock,
}

/// One of the files, opened at its first use.
#[derive(Debug, Default)]
struct OpenFile {
    handle: Option<fs::File>,
    /// Its name would survive a power cut. Unknown, so false, for a file that was found: whoever
    /// made it may have been killed before its first sync.
    named: bool,
}

impl SystemDisk {
    /// Makes the directory if need be, readable by its owner only, and locks it.
    pub fn open(path: &Path) -> Result<SystemDisk, Fault> {
        let shown = path.display();
        make_directory(path).map_err(|error| {
            Fault(format!(
                "cannot make the data directory {shown}: {}: choose another one with --data-dir",
                reason(&error)
            ))
        })?;
        let lock = Lock::take(path)?;
        let directory = fs::File::open(path).map_err(|error| {
            Fault(format!(
                "cannot read the data directory {shown}: {}: correct its permissions or choose \
                 another one with --data-dir",
                reason(&error)
            ))
        })?;
        Ok(SystemDisk {
            path: path.to_owned(),
            directory,
            files: Default::default(),
            lock,
        })
    }

    /// Refuses a key that others may read.
    pub fn check_key(&mut self) -> Result<(), Fault> {
        let path = self.path.join(File::Identity.name());
        let file = self.existing(File::Identity);
        match file.map_err(|error| Fault(remedy::of_disk(error)))? {
            Some(key) => refuse_shared(key, &path),
            None => Ok(()),
        }
    }

    /// How often a node in this directory was killed, or lost its power, since it was made.
    pub fn unclean_stops(&self) -> u32 {
        self.lock.unclean_stops()
    }

    /// Whether the last one was.
    pub fn unclean_stop(&self) -> bool {
        self.lock.unclean_stop()
    }

    /// The open file, or `None` if there is no such file.
    fn existing(&mut self, file: File) -> Result<Option<&fs::File>, DiskError> {
        let path = self.path.join(file.name());
        let slot = &mut self.files[index(file)];
        if slot.handle.is_none() {
            match OpenOptions::new().read(true).write(true).open(path) {
                Ok(handle) => slot.handle = Some(handle),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(file, "open")(error)),
            }
        }
        Ok(slot.handle.as_ref())
    }

    /// The open file, created if need be.
    fn created(&mut self, file: File) -> Result<&fs::File, DiskError> {
        if self.existing(file)?.is_none() {
            let handle =
                create_new(&self.path.join(file.name())).map_err(failed(file, "create"))?;
            self.files[index(file)] = OpenFile {
                handle: Some(handle),
                named: false,
            };
        }
        let handle = self.files[index(file)].handle.as_ref();
        Ok(handle.expect("the file was opened or created above"))
    }

    /// A new file beside `file`, and its name.
    fn create_beside(&self, file: File) -> io::Result<(fs::File, String)> {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs());
        let first = format!("{}.damaged-{seconds}", file.name());
        let mut name = first.clone();
        let mut number = 1u32;
        loop {
            match create_new(&self.path.join(&name)) {
                Ok(handle) => return Ok((handle, name)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
            name = format!("{first}-{number}");
        }
    }
}

impl Disk for SystemDisk {
    fn len(&mut self, file: File) -> Result<u64, DiskError> {
        match self.existing(file)? {
            Some(handle) => Ok(handle.metadata().map_err(failed(file, "measure"))?.len()),
            None => Ok(0),
        }
    }

    fn read(&mut self, file: File, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        match self.existing(file)? {
            Some(handle) => read_full(handle, offset, buffer).map_err(failed(file, "read")),
            None => Ok(0),
        }
    }

    fn write(&mut self, file: File, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let handle = self.created(file)?;
        handle
            .write_all_at(bytes, offset)
            .map_err(failed(file, "write"))
    }

    fn set_len(&mut self, file: File, size: u64) -> Result<(), DiskError> {
        let handle = self.created(file)?;
        handle.set_len(size).map_err(failed(file, "cut"))
    }

    fn sync(&mut self, file: File) -> Result<Duration, DiskError> {
        let start = Instant::now();
        let Some(handle) = self.existing(file)? else {
            return Ok(Duration::ZERO);
        };
        handle.sync_data().map_err(failed(file, "sync"))?;
        if !self.files[index(file)].named {
            sync_directory(&self.directory).map_err(failed(file, "sync"))?;
            self.files[index(file)].named = true;
        }
        Ok(start.elapsed())
    }

    fn rename(&mut self, from: File, to: File) -> Result<(), DiskError> {
        let path = |file: File| self.path.join(file.name());
        fs::rename(path(from), path(to))
            .and_then(|()| sync_directory(&self.directory))
            .map_err(failed(to, "replace"))?;
        let moved = std::mem::take(&mut self.files[index(from)]);
        self.files[index(to)] = OpenFile {
            named: true,
            ..moved
        };
        Ok(())
    }

    fn replace(&mut self, file: File, bytes: &[u8]) -> Result<(), DiskError> {
        let target = self.path.join(file.name());
        let temporary = self.path.join(format!("{}.new", file.name()));
        // What a crash left behind may have any content and mode.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed(file, "replace")(error));
            }
            _ => {}
        }
        let replaced = || -> io::Result<fs::File> {
            let mut handle = create_new(&temporary)?;
            handle.write_all(bytes)?;
            handle.sync_all()?;
            fs::rename(&temporary, &target)?;
            sync_directory(&self.directory)?;
            Ok(handle)
        };
        let handle = replaced().map_err(failed(file, "replace"))?;
        self.files[index(file)] = OpenFile {
            handle: Some(handle),
            named: true,
        };
        Ok(())
    }

    fn set_aside(&mut self, file: File, offset: u64) -> Result<String, DiskError> {
        let (copy, name) = self
            .create_beside(file)
            .map_err(failed(file, "set aside the damaged part of"))?;
        if let Some(original) = self.existing(file)? {
            copy_from(original, offset, &copy)
                .map_err(failed(file, "set aside the damaged part of"))?;
        }
        copy.sync_all()
            .and_then(|()| sync_directory(&self.directory))
            .map_err(failed(file, "set aside the damaged part of"))?;
        Ok(name)
    }
}

/// Whether somebody but its owner may read or write a file, by its mode.
pub fn is_shared(file: &fs::File) -> io::Result<bool> {
    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

/// Refuses a key that others may read: whoever has it signs as this node. One that was made here is
/// its owner's alone, but a copy has the mode that whoever made it gave it.
pub fn refuse_shared(key: &fs::File, path: &Path) -> Result<(), Fault> {
    let shown = path.display();
    match is_shared(key) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Fault(format!(
            "{shown} is this node's secret key, and others may read it: chmod 600 {shown}"
        ))),
        Err(error) => Err(Fault(format!(
            "cannot tell who may read {shown}: {}: {}",
            reason(&error),
            remedy::DISK
        ))),
    }
}

fn index(file: File) -> usize {
    file as usize
}

fn failed(file: File, action: &'static str) -> impl Fn(io::Error) -> DiskError {
    move |error| DiskError {
        file,
        action,
        reason: reason(&error),
    }
}

/// Creates a file that only its owner reads. Only the key has to be secret, but one mode for all
/// files leaves nobody to ask which is which.
fn create_new(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn read_full(handle: &fs::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match handle.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn copy_from(original: &fs::File, offset: u64, copy: &fs::File) -> io::Result<()> {
    let mut buffer = [0; 8192];
    let mut done = 0;
    loop {
        let count = read_full(original, offset + done, &mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        copy.write_all_at(&buffer[..count], done)?;
        done += count as u64;
    }
}

/// Some file systems (9p, vboxsf, several of FUSE) have no sync of a directory and say so; there,
/// nothing more can be done.
fn sync_directory(directory: &fs::File) -> io::Result<()> {
    match directory.sync_all() {
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// Makes the directory and its missing parents, the outermost first, each durable in its parent.
fn make_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists())
        .collect();
    for directory in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => result?,
        }
        let parent = match directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // A parent may be closed to reading, as homes sometimes are; then it cannot be synced.
        if let Ok(parent) = fs::File::open(parent) {
            sync_directory(&parent)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        let metadata = fs::metadata(path).expect("the path exists");
        metadata.permissions().mode() & 0o777
    }

    fn fresh() -> (tempfile::TempDir, PathBuf) {
        let outer = tempfile::tempdir().expect("a temporary directory");
        let path = outer.path().join("a/b/6000");
        (outer, path)
    }

    fn contents(disk: &mut SystemDisk, file: File) -> Vec<u8> {
        let size = disk.len(file).expect("a size");
        let mut bytes = vec![0; size as usize + 10];
        let count = disk.read(file, 0, &mut bytes).expect("a read");
        bytes.truncate(count);
        bytes
    }

    #[test]
    fn the_directory_and_its_files_are_private() {
        let (outer, path) = fresh();
        let mut disk = SystemDisk::open(&path).expect("opens");
        assert_eq!(mode(&outer.path().join("a")), 0o700);
        assert_eq!(mode(&path), 0o700);
        disk.replace(File::Identity, b"key").expect("replaces");
        disk.write(File::Chain, 0, b"x").expect("writes");
        assert_eq!(mode(&path.join("identity.blx")), 0o600);
        assert_eq!(mode(&path.join("chain.blx")), 0o600);
    }

    #[test]
    fn a_missing_file_is_empty_and_is_not_made_by_looking() {
        let (_outer, path) = fresh();
        let mut disk = SystemDisk::open(&path).expect("opens");
        assert_eq!(disk.len(File::Chain), Ok(0));
        assert_eq!(disk.read(File::Chain, 5, &mut [0; 4]), Ok(0));
        assert_eq!(disk.sync(File::Chain), Ok(Duration::ZERO));
        assert!(!path.join("chain.blx").exists());
    }

    #[test]
    fn what_was_written_is_read_again_by_the_next_process() {
        let (_outer, path) = fresh();
        let mut disk = SystemDisk::open(&path).expect("opens");
        disk.write(File::Chain, 0, b"hello").expect("writes");
        disk.write(File::Chain, 5, b" world").expect("writes");
        disk.sync(File::Chain).expect("syncs");
        drop(disk);
        let mut disk = SystemDisk::open(&path).expect("opens again");
        assert_eq!(contents(&mut disk, File::Chain), b"hello world");
        let mut middle = [0; 5];
        assert_eq!(disk.read(File::Chain, 3, &mut middle), Ok(5));
        assert_eq!(&middle, b"lo wo");
        disk.set_len(File::Chain, 4).expect("cuts");
        assert_eq!(contents(&mut disk, File::Chain), b"hell");
    }

    #[test]
    fn replace_swaps_the_whole_file_and_the_open_handle() {
        let (_outer, path) = fresh();
        let mut disk = SystemDisk::open(&path).expect("opens");
        fs::write(path.join("identity.blx.new"), "left by a crash").expect("a leftover");
        disk.write(File::Identity, 0, b"a long first text")
            .expect("writes");
        disk.replace(File::Identity, b"short").expect("replaces");
        assert_eq!(contents(&mut disk, File::Identity), b"short");
        assert!(!path.join("identity.blx.new").exists());
        disk.write(File::Identity, 5, b"er").expect("writes");
        assert_eq!(
            fs::read(path.join("identity.blx")).expect("reads"),
            b"shorter"
        );
    }

    #[test]
    fn set_aside_copies_the_rest_under_a_name_of_its_own() {
        let (_outer, path) = fresh();
        let mut disk = SystemDisk::open(&path).expect("opens");
        let bytes: Vec<u8> = (0..20_000u32).map(|number| number as u8).collect();
        disk.write(File::Chain, 0, &bytes).expect("writes");
        let first = disk.set_aside(File::Chain, 3).expect("sets aside");
        let second = disk.set_aside(File::Chain, 19_999).expect("sets aside");
        assert!(first.starts_with("chain.blx.damaged-"), "{first}");
        assert_ne!(first, second);
        assert_eq!(fs::read(path.join(first)).expect("reads"), bytes[3..]);
        assert_eq!(fs::read(path.join(second)).expect("reads"), bytes[19_999..]);
        assert_eq!(contents(&mut disk, File::Chain), bytes);
    }

    #[test]
    fn a_second_node_is_told_whose_directory_it_is() {
        let (_outer, path) = fresh();
        let disk = SystemDisk::open(&path).expect("opens");
        let fault = SystemDisk::open(&path).expect_err("is locked").to_string();
        assert!(fault.contains("is in use by another blx"), "{fault}");
        assert!(
            fault.contains(&format!("(process {})", std::process::id())),
            "{fault}"
        );
        drop(disk);
        SystemDisk::open(&path).expect("is free again");
    }

    #[test]
    fn an_impossible_directory_is_a_sentence() {
        let (outer, _path) = fresh();
        let file = outer.path().join("file");
        fs::write(&file, "").expect("a file");
        for path in [file.clone(), file.join("below")] {
            let fault = SystemDisk::open(&path).expect_err("fails").to_string();
            assert!(fault.contains("not a directory"), "{fault}");
            assert!(fault.contains("--data-dir"), "{fault}");
            assert!(!fault.contains("os error"), "{fault}");
        }
    }

    #[test]
    fn a_failed_call_names_file_action_and_reason() {
        let (_outer, path) = fresh();
        let mut disk = SystemDisk::open(&path).expect("opens");
        fs::create_dir(path.join("chain.blx")).expect("a directory in its place");
        let error = disk.write(File::Chain, 0, b"x").expect_err("fails");
        assert_eq!(error.to_string(), "cannot open chain.blx: is a directory");
    }

    #[test]
    fn a_full_disk_fails_the_write() {
        let (_outer, path) = fresh();
        let mut disk = SystemDisk::open(&path).expect("opens");
        std::os::unix::fs::symlink("/dev/full", path.join("chain.blx")).expect("a link");
        let error = disk.write(File::Chain, 0, b"x").expect_err("is full");
        assert_eq!(
            error.to_string(),
            "cannot write chain.blx: no space left on device"
        );
    }
}
