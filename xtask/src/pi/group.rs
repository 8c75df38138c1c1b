//! A limit of memory for a program and all that the kernel keeps for it: Linux' control groups, of either version.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::process::Failure;

/// A control group that programs can be started in; removed when dropped.
pub(super) struct Group {
    folder: PathBuf,
    unified: bool,
}

impl Group {
    /// A group of its own with so much memory, sockets and cached files included, and no swap.
    pub(super) fn new(name: &str, bytes: u64) -> Result<Self, Failure> {
        let root = Path::new("/sys/fs/cgroup");
        let unified = root.join("cgroup.controllers").exists();
        let parent = if unified { root.to_owned() } else { root.join("memory") };
        let folder = parent.join(format!("smp-{name}-{}", std::process::id()));
        if unified {
            // Refused where it is so already in some containers; the limit below tells.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+memory");
        }
        fs::create_dir(&folder).map_err(|error| {
            Failure::because("a control group for the limit of memory, which takes root's rights", error)
        })?;
        let group = Self { folder, unified };
        let limits: [&str; 2] =
            if unified { ["memory.max", "memory.swap.max"] } else { ["memory.limit_in_bytes", "memory.swappiness"] };
        group.write(limits[0], bytes)?;
        let _ = group.write(limits[1], 0);
        Ok(group)
    }

    fn write(&self, name: &str, value: u64) -> Result<(), Failure> {
        let path = self.folder.join(name);
        fs::write(&path, value.to_string()).map_err(|error| Failure::because(&path.display().to_string(), error))
    }

    /// What a command line begins with to run in the group.
    pub(super) fn enter(&self) -> Vec<OsString> {
        let procs = self.folder.join("cgroup.procs");
        let words = ["sh", "-c", "echo $$ > \"$0\" && exec \"$@\""].map(OsString::from);
        words.into_iter().chain([procs.into_os_string()]).collect()
    }

    /// The most memory it ever had, in bytes: the program's, its sockets' and cached files'.
    pub(super) fn peak(&self) -> Option<u64> {
        let name = if self.unified { "memory.peak" } else { "memory.max_usage_in_bytes" };
        fs::read_to_string(self.folder.join(name)).ok()?.trim().parse().ok()
    }

    /// How many of its programs the kernel killed for want of memory.
    pub(super) fn killed(&self) -> u64 {
        let name = if self.unified { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}
