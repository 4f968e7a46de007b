//! What a server finds around itself, changed for that process alone: a disk that is small or read-only, names that lead
//! where a test wants them. Mount namespaces make it so, and end with the process.
//!
//! It takes `unshare` and `mount` of util-linux and the right to make a user namespace, which root has and most systems
//! give to anybody. Where they do not, the server does not start, and the test fails with what `unshare` said.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What kind of disk a data directory is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// One that holds so many KiB.
    OfKib(u64),
    /// One that is as the data directory was before, and cannot be written to.
    ReadOnly,
}

/// Mounts a file system of size `$2` at `$3`, and brings what is in `$1` there.
const DISK: &str = r#"
    mount -t tmpfs -o "size=$2" tmpfs "$3"
    cp -a "$1/." "$3"
    if [ "$4" = read-only ]; then mount -o remount,bind,ro "$3"; fi
    shift 4
"#;

/// Puts the file `$1` in the place of `/etc/hosts`.
const HOSTS: &str = r#"
    mount --bind "$1" /etc/hosts
    shift
"#;

/// Puts the file `$1` in the place of `/etc/resolv.conf`, and `$2` in that of `/etc/nsswitch.conf`.
const NAME_SERVER: &str = r#"
    mount --bind "$1" /etc/resolv.conf
    mount --bind "$2" /etc/nsswitch.conf
    shift 2
"#;

impl Disk {
    /// The command line that runs `program` with the disk mounted at `at` and what `data` holds on it.
    pub fn around(self, data: &Path, at: &Path, program: Vec<OsString>) -> Vec<OsString> {
        std::fs::create_dir_all(at).expect("a place to mount at");
        let (size, access) = match self {
            Self::OfKib(kib) => (format!("{kib}k"), "writable"),
            Self::ReadOnly => ("64m".to_owned(), "read-only"),
        };
        let arguments = [data.into(), size.into(), at.into(), access.into()];
        in_namespace(DISK, arguments, program)
    }
}

/// The command line that runs `program` where the file `hosts` says what names lead to.
pub fn with_hosts(hosts: &Path, program: Vec<OsString>) -> Vec<OsString> {
    in_namespace(HOSTS, [hosts.into()], program)
}

/// The command line that runs `program` where names are asked of this server alone. The system's patience with it is
/// longer than any test's.
pub fn with_name_server(server: IpAddr, dir: &Path, program: Vec<OsString>) -> Vec<OsString> {
    let (resolv, nsswitch) = (dir.join("resolv.conf"), dir.join("nsswitch.conf"));
    let options = "options timeout:30 attempts:3";
    std::fs::write(&resolv, format!("nameserver {server}\n{options}\n")).expect("a file");
    std::fs::write(&nsswitch, "hosts: files dns\n").expect("a file");
    in_namespace(NAME_SERVER, [resolv.into(), nsswitch.into()], program)
}

/// The script takes its arguments away, and what is left is the program.
fn in_namespace<const N: usize>(
    script: &str,
    arguments: [OsString; N],
    program: Vec<OsString>,
) -> Vec<OsString> {
    let script = format!("set -e\n{script}\nexec \"$@\"");
    [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        &script,
        "sh",
    ]
    .map(OsString::from)
    .into_iter()
    .chain(arguments)
    .chain(program)
    .collect()
}

/// A path as the process sees it.
pub fn as_seen_by(pid: u32, path: &Path) -> PathBuf {
    let path = path.strip_prefix("/").expect("an absolute path");
    Path::new("/proc")
        .join(pid.to_string())
        .join("root")
        .join(path)
}
