//! Files into a data set's folder: as they are, or out of an archive. Where they go is the table's word, never the archive's.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;
use zip::result::ZipError;

use super::check::{BLOCK, is_damage};
use super::fault::Fault;
use super::table::{Holds, Member};

/// Copies a file of at most `most` bytes.
pub(crate) fn copy(from: &Path, most: u64, to: &Path) -> Result<(), Fault> {
    let file = File::open(from).map_err(Fault::reading(from))?;
    write(file, from, most, to)
}

/// Takes the files that are asked for out of an archive, each of at most `most` bytes.
pub(crate) fn unpack(archive: &Path, holds: Holds, most: u64, into: &Path) -> Result<(), Fault> {
    match holds {
        Holds::Itself => Ok(()),
        Holds::Zip(members) => unzip(archive, members, most, into),
        Holds::TarGz(members) => untar(archive, members, most, into),
    }
}

fn unzip(archive: &Path, members: &[Member], most: u64, into: &Path) -> Result<(), Fault> {
    let file = File::open(archive).map_err(Fault::reading(archive))?;
    let damaged = |error| match error {
        ZipError::Io(reason) if !is_damage(&reason) => Fault::reading(archive)(reason),
        error => Fault::Wrong(format!("is no whole zip archive: {error}")),
    };
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    for member in members {
        match zip.by_name(member.path) {
            Ok(packed) => write(packed, archive, most, &into.join(member.name()))?,
            Err(ZipError::FileNotFound) if member.optional => {}
            Err(ZipError::FileNotFound) => return Err(missing(member)),
            Err(error) => return Err(damaged(error)),
        }
    }
    Ok(())
}

fn untar(archive: &Path, members: &[Member], most: u64, into: &Path) -> Result<(), Fault> {
    let file = File::open(archive).map_err(Fault::reading(archive))?;
    let all = most.saturating_mul(members.len() as u64 + 1);
    let mut tar = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)).take(all));
    let damaged = |reason| Fault::Wrong(format!("is no whole tar archive: {reason}"));
    let mut left: Vec<&Member> = members.iter().collect();
    for entry in tar.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?;
        let Some(n) = left.iter().position(|member| path == Path::new(member.path)) else { continue };
        if !entry.header().entry_type().is_file() {
            return Err(Fault::Wrong(format!("holds {} as something else than a file", left[n].path)));
        }
        write(entry, archive, most, &into.join(left.swap_remove(n).name()))?;
    }
    left.iter().find(|member| !member.optional).map_or(Ok(()), |member| Err(missing(member)))
}

fn missing(member: &Member) -> Fault {
    Fault::Wrong(format!("holds no {}", member.path))
}

/// Writes at most `most` bytes to a new file.
pub(crate) fn write(mut from: impl Read, archive: &Path, most: u64, to: &Path) -> Result<(), Fault> {
    let mut file = File::create(to).map_err(Fault::writing(to))?;
    let (mut block, mut written) = (vec![0; BLOCK], 0);
    loop {
        let n = match from.read(&mut block) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if is_damage(&error) => return Err(Fault::Wrong(format!("is damaged: {error}"))),
            Err(error) => return Err(Fault::reading(archive)(error)),
        };
        written += n as u64;
        if written > most {
            let name = to.file_name().unwrap_or_default().to_string_lossy();
            return Err(Fault::Wrong(format!("{name} is more than {most} bytes, which it cannot be")));
        }
        file.write_all(&block[..n]).map_err(Fault::writing(to))?;
    }
    file.sync_all().map_err(Fault::writing(to))
}
