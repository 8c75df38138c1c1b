//! What a disk may hold after the power fails: everything that was synced is there; what came later is there, lost, or
//! torn at the borders of sectors. Names of files that were not synced with their folder may be lost as well, each by
//! itself: harsher than most file systems, which keep changes of names in their order.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;

use crate::history::Random;

const SECTOR: usize = 512;
/// Records of the test itself.
pub(crate) const MARK: u32 = 100;
const OPEN: u32 = 1;
const UNLINK: u32 = 10;
const O_CREAT: i64 = 0o100;
const O_EXCL: i64 = 0o200;
const O_TRUNC: i64 = 0o1000;

/// One record of the log.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) kind: u32,
    pub(crate) a: i64,
    b: i64,
    payload: Range<usize>,
}

/// Reads the log, whose end may be cut by a kill.
pub(crate) fn records(log: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some(head) = log.get(at..at + 32) {
        let word = |at: usize| u32::from_le_bytes(*head[at..].first_chunk().unwrap());
        let long = |at: usize| i64::from_le_bytes(*head[at..].first_chunk().unwrap());
        let payload = at + 32..at + 32 + word(4) as usize;
        if log.len() < payload.end {
            break;
        }
        at = payload.end;
        records.push(Record { kind: word(0), a: long(8), b: long(16), payload });
    }
    records
}

impl Record {
    /// Where it begins in the log.
    pub(crate) const fn start(&self) -> usize {
        self.payload.start - 32
    }

    /// The engine began a journal, or removed one that it needs no more.
    pub(crate) fn changes_journals(&self, log: &[u8]) -> Option<JournalChange> {
        let payload = log.get(self.payload.clone())?;
        let is_journal = payload.split(|byte| *byte == 0).next()?.ends_with(b".jnl");
        match self.kind {
            OPEN if is_journal && self.b & O_EXCL != 0 => Some(JournalChange::Begun),
            UNLINK if is_journal => Some(JournalChange::Removed),
            _ => None,
        }
    }

    /// A name was replaced, or moved.
    pub(crate) const fn renames(&self) -> bool {
        self.kind == 8
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum JournalChange {
    Begun,
    Removed,
}

/// A mark of the test.
pub(crate) fn mark(number: usize) -> Vec<u8> {
    let mut record = MARK.to_le_bytes().to_vec();
    record.extend([0; 4]);
    record.extend((number as i64).to_le_bytes());
    record.extend([0; 16]);
    record
}

type Node = usize;

#[derive(Clone)]
enum Change {
    Write(u64, Range<usize>),
    /// To this length.
    Length(u64),
    /// To this length at least.
    Extend(u64),
}

#[derive(Clone)]
enum Naming {
    Add(String, Node),
    Remove(String),
    Rename(String, String, Node),
}

#[derive(Default)]
struct File {
    /// What is synced, up to the last byte that was ever written; zeros follow up to the length.
    bytes: Vec<u8>,
    length: u64,
    pending: Vec<(usize, Change)>,
}

#[derive(Default)]
struct Folder {
    synced: BTreeMap<String, Node>,
    now: BTreeMap<String, Node>,
    pending: Vec<(usize, Naming)>,
}

enum Thing {
    File(File),
    Folder(Folder),
}

/// A disk while its log is read.
pub(crate) struct Disk<'a> {
    log: &'a [u8],
    things: Vec<Thing>,
    open: HashMap<i64, Node>,
    syncing: Vec<(i64, Node, usize)>,
    /// Folders that keep the name of a file that was synced.
    keeping: Vec<Node>,
    clock: usize,
}

/// The engine (lsm-tree 3.1.10) syncs its files of large values, but not the folder with their names, and refuses to open
/// when one is missing. The journaling file systems of Linux keep the name of a new file that was synced, so here they do
/// in this folder, and only here.
const KEEPING: &str = "blobs";

impl<'a> Disk<'a> {
    pub(crate) fn new(log: &'a [u8]) -> Self {
        let things = vec![Thing::Folder(Folder::default())];
        Self { log, things, open: HashMap::new(), syncing: Vec::new(), keeping: Vec::new(), clock: 0 }
    }

    /// A disk that has what is in a folder, all of it synced.
    pub(crate) fn found(folder: &Path, log: &'a [u8]) -> Self {
        let mut disk = Self::new(log);
        disk.find_all(0, folder);
        disk
    }

    fn find_all(&mut self, node: Node, path: &Path) {
        for entry in std::fs::read_dir(path).unwrap().map(Result::unwrap) {
            let (name, path) = (entry.file_name().into_string().unwrap(), entry.path());
            let found = self.things.len();
            if entry.file_type().unwrap().is_dir() {
                self.things.push(Thing::Folder(Folder::default()));
                if name == KEEPING {
                    self.keeping.push(found);
                }
                self.find_all(found, &path);
            } else {
                let mut bytes = std::fs::read(&path).unwrap();
                let length = bytes.len() as u64;
                bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
                bytes.shrink_to_fit();
                self.things.push(Thing::File(File { length, bytes, pending: Vec::new() }));
            }
            let Thing::Folder(folder) = &mut self.things[node] else { panic!("a file is no folder") };
            folder.synced.insert(name.clone(), found);
            folder.now.insert(name, found);
        }
    }

    fn text(&self, record: &Record) -> (String, String) {
        let text = String::from_utf8_lossy(&self.log[record.payload.clone()]).into_owned();
        let mut parts = text.split('\0').map(str::to_owned);
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    }

    fn find(&self, path: &str) -> Option<Node> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(0, |node, part| match &self.things[node] {
            Thing::Folder(folder) => folder.now.get(part).copied(),
            Thing::File(_) => None,
        })
    }

    fn place(&self, path: &str) -> (Node, String) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.find(parent).expect("the folder is there"), name.to_owned())
    }

    fn name(&mut self, parent: Node, naming: Naming) {
        let Thing::Folder(folder) = &mut self.things[parent] else { panic!("a file is no folder") };
        rename(&mut folder.now, &naming);
        folder.pending.push((self.clock, naming));
    }

    fn add(&mut self, path: &str, thing: Thing) -> Node {
        let node = self.things.len();
        self.things.push(thing);
        let (parent, name) = self.place(path);
        if name == KEEPING {
            self.keeping.push(node);
        }
        self.name(parent, Naming::Add(name, node));
        node
    }

    fn change(&mut self, fd: i64, change: Change) {
        let clock = self.clock;
        let Thing::File(file) = &mut self.things[self.open[&fd]] else { panic!("a folder is no file") };
        file.pending.push((clock, change));
    }

    /// Carries out one record. The numbers are those of `record.c`.
    pub(crate) fn apply(&mut self, record: &Record) {
        self.clock += 1;
        match record.kind {
            0 => {
                self.open.clear();
                self.syncing.clear();
            }
            OPEN => {
                let (path, _) = self.text(record);
                let node = match self.find(&path) {
                    Some(node) => node,
                    None => {
                        assert!(record.b & O_CREAT != 0, "{path} was opened and never made");
                        self.add(&path, Thing::File(File::default()))
                    }
                };
                self.open.insert(record.a, node);
                if record.b & O_TRUNC != 0 {
                    self.change(record.a, Change::Length(0));
                }
            }
            2 => {
                self.open.remove(&record.a);
            }
            3 => {
                self.open.insert(record.b, self.open[&record.a]);
            }
            4 => self.change(record.a, Change::Write(record.b as u64, record.payload.clone())),
            5 => self.change(record.a, Change::Length(record.b as u64)),
            6 => self.syncing.push((record.a, self.open[&record.a], self.clock)),
            7 => {
                let position = self.syncing.iter().position(|(fd, _, _)| *fd == record.a).expect("it began");
                let (_, node, began) = self.syncing.remove(position);
                self.synced(node, began);
            }
            8 => {
                let (from, to) = self.text(record);
                let node = self.find(&from).expect("what is renamed is there");
                let ((from_parent, from), (to_parent, to)) = (self.place(&from), self.place(&to));
                if from_parent == to_parent {
                    self.name(from_parent, Naming::Rename(from, to, node));
                } else {
                    self.name(to_parent, Naming::Add(to, node));
                    self.name(from_parent, Naming::Remove(from));
                }
            }
            9 => {
                let (from, to) = self.text(record);
                let node = self.find(&from).expect("what is linked is there");
                let (parent, name) = self.place(&to);
                self.name(parent, Naming::Add(name, node));
            }
            UNLINK => {
                let (parent, name) = self.place(&self.text(record).0);
                self.name(parent, Naming::Remove(name));
            }
            11 => {
                let (path, _) = self.text(record);
                self.add(&path, Thing::Folder(Folder::default()));
            }
            12 => self.change(record.a, Change::Extend(record.b as u64)),
            _ => {}
        }
    }

    /// What happened before the sync began is there for good.
    fn synced(&mut self, node: Node, began: usize) {
        for folder in &self.keeping {
            let Thing::Folder(folder) = &mut self.things[*folder] else { continue };
            let own = |(_, naming): &(usize, Naming)| matches!(naming, Naming::Add(_, added) if *added == node);
            while let Some(position) = folder.pending.iter().position(own) {
                rename(&mut folder.synced, &folder.pending.remove(position).1);
            }
        }
        match &mut self.things[node] {
            Thing::File(file) => {
                let count = file.pending.iter().take_while(|(at, _)| *at < began).count();
                for (_, change) in file.pending.drain(..count).collect::<Vec<_>>() {
                    write(self.log, &mut file.bytes, &mut file.length, &change, |_| true);
                }
            }
            Thing::Folder(folder) => {
                let count = folder.pending.iter().take_while(|(at, _)| *at < began).count();
                for (_, naming) in folder.pending.drain(..count) {
                    rename(&mut folder.synced, &naming);
                }
            }
        }
    }

    /// Writes what the disk may hold now to a folder.
    pub(crate) fn cut(&self, random: &mut Random, folder: &Path) {
        // Half of the cuts keep or lose everything of a kind, which is what happens most.
        let habit = random.below(8);
        self.cut_folder(0, random, habit, folder);
    }

    /// Writes what processes see to a folder: that nothing is synced does not matter to them.
    pub(crate) fn leave(&self, folder: &Path) {
        self.leave_folder(0, folder);
    }

    fn leave_folder(&self, node: Node, path: &Path) {
        let Thing::Folder(folder) = &self.things[node] else { return };
        for (name, node) in &folder.now {
            let path = path.join(name);
            match &self.things[*node] {
                Thing::Folder(_) => {
                    std::fs::create_dir(&path).unwrap();
                    self.leave_folder(*node, &path);
                }
                Thing::File(file) => {
                    let (mut bytes, mut length) = (file.bytes.clone(), file.length);
                    for (_, change) in &file.pending {
                        write(self.log, &mut bytes, &mut length, change, |_| true);
                    }
                    put(&path, bytes, length);
                }
            }
        }
    }

    fn cut_folder(&self, node: Node, random: &mut Random, habit: usize, path: &Path) {
        let Thing::Folder(folder) = &self.things[node] else { return };
        let mut names = folder.synced.clone();
        let kept = random.below(folder.pending.len() + 1);
        for (index, (_, naming)) in folder.pending.iter().enumerate() {
            let keep = match habit {
                0 | 1 => true,
                2 => false,
                3 | 4 => index < kept,
                _ => random.below(2) == 0,
            };
            if keep {
                rename(&mut names, naming);
            }
        }
        for (name, node) in names {
            let path = path.join(name);
            match &self.things[node] {
                Thing::Folder(_) => {
                    std::fs::create_dir(&path).unwrap();
                    self.cut_folder(node, random, habit, &path);
                }
                Thing::File(file) => self.cut_file(file, random, &path),
            }
        }
    }

    fn cut_file(&self, file: &File, random: &mut Random, path: &Path) {
        let (mut bytes, mut length) = (file.bytes.clone(), file.length);
        let count = file.pending.len();
        // Up to which change each sector was written, and the length.
        let habit = random.below(6);
        let all = random.below(count + 1);
        let salt = random.below(usize::MAX);
        for (index, (_, change)) in file.pending.iter().enumerate() {
            let kept = |sector: u64| match habit {
                0 => true,
                1 => false,
                // The last of them torn.
                2 => index + 1 < all || index + 1 == all && Random(salt as u64 ^ sector).below(2) == 0,
                _ => index < Random(salt as u64 ^ sector).below(count + 1),
            };
            write(self.log, &mut bytes, &mut length, change, kept);
        }
        put(path, bytes, length);
    }
}

/// Writes a file. Journals are zeros for the most part, which takes no room.
fn put(path: &Path, mut bytes: Vec<u8>, length: u64) {
    let mut out = std::fs::File::create(path).unwrap();
    bytes.truncate(usize::try_from(length).unwrap());
    out.write_all(&bytes).unwrap();
    out.set_len(length).unwrap();
}

/// The number that stands for the sector with the length of a file.
const LENGTH: u64 = u64::MAX;

fn write(log: &[u8], bytes: &mut Vec<u8>, length: &mut u64, change: &Change, kept: impl Fn(u64) -> bool) {
    match change {
        Change::Write(offset, range) => {
            let end = offset + range.len() as u64;
            if kept(LENGTH) {
                *length = (*length).max(end);
            }
            let (start, end) = (*offset as usize, end as usize);
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            let mut at = start;
            while at < end {
                let next = (at / SECTOR + 1) * SECTOR;
                let next = next.min(end);
                if kept((at / SECTOR) as u64) {
                    bytes[at..next].copy_from_slice(&log[range.start + at - start..range.start + next - start]);
                }
                at = next;
            }
        }
        Change::Length(to) if kept(LENGTH) => {
            bytes.truncate(usize::try_from(*to).unwrap());
            *length = *to;
        }
        Change::Extend(to) if kept(LENGTH) => *length = (*length).max(*to),
        Change::Length(_) | Change::Extend(_) => {}
    }
}

fn rename(names: &mut BTreeMap<String, Node>, naming: &Naming) {
    match naming {
        Naming::Add(name, node) => {
            names.insert(name.clone(), *node);
        }
        Naming::Remove(name) => {
            names.remove(name);
        }
        Naming::Rename(from, to, node) => {
            // What was lost since may have had the name.
            if names.get(from) == Some(node) {
                names.remove(from);
            }
            names.insert(to.clone(), *node);
        }
    }
}
