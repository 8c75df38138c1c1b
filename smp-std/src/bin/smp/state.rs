//! What is kept of a queue between two runs of the program: a JSON file that only its owner can read.
//!
//! A file is replaced as a whole: written beside the old one under a name of its own, brought to the disk, renamed over it,
//! and the folder brought to the disk. After a crash there is the old state or the new one.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use smp_crypto::key::{SharedSecret, X25519PublicKey, X25519SecretKey};
use smp_proto::address::{ServerAddress, ServerBuf};
use smp_proto::smp::recipient::QueueMode;
use smp_proto::uri::QueueUri;
use smp_proto::wire::{Base64, Decode, Encode, base64_url_decode};
use smp_std::client::{
    CommandKey, Credentials, Id, ReceiveQueue, ReceiveQueueParts, SendQueue, SendQueueParts, SendStage,
};
use zeroize::Zeroizing;

use crate::failure::{Failure, STATE};
use crate::framing;

/// The version of the files. Files of other versions are refused.
const VERSION: u32 = 1;
/// The largest file that is read, in bytes; real ones have a few thousand.
const MAX_LENGTH: u64 = 1 << 20;
/// How many parts of texts are remembered so that they are not printed twice.
const REMEMBERED_PARTS: usize = 64;

/// The recipient's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receiver {
    format: Format,
    version: u32,
    server: Text,
    recipient_id: Text,
    sender_id: Text,
    recipient_key: Text,
    delivery_secret: Text,
    mode: Option<Mode>,
    secret_key: Text,
    sender_key: Option<Text>,
    last_message: Option<Text>,
    seen_parts: VecDeque<(Text, u32)>,
}

/// The sender's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sender {
    format: Format,
    version: u32,
    uri: Text,
    sender_key: Text,
    secret_key: Text,
    stage: Stage,
    sender_secures: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "smp receive")]
    Receiver,
    #[serde(rename = "smp send")]
    Sender,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Messaging,
    Contact,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    New,
    Secured,
    Confirmed,
}

/// Bytes as base64url, wiped when dropped: most of them are secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Text(Zeroizing<String>);

impl Text {
    fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(Base64(bytes).to_string()))
    }

    fn encode(value: &impl Encode) -> Self {
        // More than the longest address, which has buffers of fixed size.
        Self::new(value.to_slice(&mut [0; 2048]).unwrap_or_default())
    }

    fn bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut buffer = Zeroizing::new(vec![0; self.0.len()]);
        let length = base64_url_decode(self.0.as_bytes(), &mut buffer).ok()?.len();
        buffer.truncate(length);
        Some(buffer)
    }

    fn array<const N: usize>(&self) -> Option<Zeroizing<[u8; N]>> {
        self.bytes()?.as_slice().try_into().ok().map(Zeroizing::new)
    }

    fn id(&self) -> Option<Id> {
        Id::new(&self.bytes()?)
    }
}

/// What a recipient has printed already.
#[derive(Clone, Default)]
pub(crate) struct Printed {
    /// The last message: it may be delivered once more when its acknowledgement got lost.
    pub(crate) last_message: Option<Id>,
    /// The last parts of texts: their sender may have sent them twice.
    parts: VecDeque<([u8; framing::ID_LENGTH], u32)>,
}

impl Printed {
    /// Whether this part was printed before. Remembers it.
    pub(crate) fn has_seen(&mut self, part: ([u8; framing::ID_LENGTH], u32)) -> bool {
        if self.parts.contains(&part) {
            return true;
        }
        if self.parts.len() >= REMEMBERED_PARTS {
            self.parts.pop_front();
        }
        self.parts.push_back(part);
        false
    }
}

impl Receiver {
    pub(crate) fn new(queue: &ReceiveQueue, printed: &Printed) -> Self {
        let parts = queue.to_parts();
        Self {
            format: Format::Receiver,
            version: VERSION,
            // As on the wire: the text forms of IPv6 addresses with a port cannot be read back.
            server: Text::encode(&parts.server.address()),
            recipient_id: Text::new(parts.credentials.id.as_bytes()),
            sender_id: Text::new(parts.sender_id.as_bytes()),
            recipient_key: Text::new(parts.credentials.key.to_pkcs8().as_bytes()),
            delivery_secret: Text::new(parts.delivery_secret.as_bytes()),
            mode: parts.mode.map(|mode| match mode {
                QueueMode::Messaging => Mode::Messaging,
                QueueMode::Contact => Mode::Contact,
            }),
            secret_key: Text::new(parts.secret.as_bytes()),
            sender_key: parts.sender_key.map(|key| Text::new(&key.0)),
            last_message: printed.last_message.as_ref().map(|id| Text::new(id.as_bytes())),
            seen_parts: printed.parts.iter().map(|(id, number)| (Text::new(id), *number)).collect(),
        }
    }

    pub(crate) fn restore(&self) -> Option<(ReceiveQueue, Printed)> {
        if self.format != Format::Receiver || self.version != VERSION {
            return None;
        }
        let server = ServerBuf::try_from(&ServerAddress::from_bytes(&self.server.bytes()?).ok()?).ok()?;
        let key = CommandKey::from_pkcs8(&self.recipient_key.bytes()?).ok()?;
        let queue = ReceiveQueue::from_parts(ReceiveQueueParts {
            server,
            credentials: Credentials { id: self.recipient_id.id()?, key },
            sender_id: self.sender_id.id()?,
            mode: self.mode.map(|mode| match mode {
                Mode::Messaging => QueueMode::Messaging,
                Mode::Contact => QueueMode::Contact,
            }),
            delivery_secret: SharedSecret::from_bytes(*self.delivery_secret.array()?),
            secret: X25519SecretKey::from_bytes(&*self.secret_key.array()?),
            sender_key: match &self.sender_key {
                Some(key) => Some(X25519PublicKey(*key.array()?)),
                None => None,
            },
        })
        .ok()?;
        let last_message = match &self.last_message {
            Some(id) => Some(id.id()?),
            None => None,
        };
        let parts = self.seen_parts.iter().take(REMEMBERED_PARTS);
        let parts: Option<_> = parts.map(|(id, number)| Some((*id.array()?, *number))).collect();
        Some((queue, Printed { last_message, parts: parts? }))
    }
}

impl Sender {
    pub(crate) fn new(queue: &SendQueue) -> Self {
        let parts = queue.to_parts();
        Self {
            format: Format::Sender,
            version: VERSION,
            uri: Text::encode(&parts.uri),
            sender_key: Text::new(parts.key.to_pkcs8().as_bytes()),
            secret_key: Text::new(parts.secret.as_bytes()),
            stage: match parts.stage {
                SendStage::New => Stage::New,
                SendStage::Secured => Stage::Secured,
                SendStage::Confirmed => Stage::Confirmed,
            },
            sender_secures: parts.secures,
        }
    }

    pub(crate) fn restore(&self) -> Option<SendQueue> {
        if self.format != Format::Sender || self.version != VERSION {
            return None;
        }
        SendQueue::from_parts(SendQueueParts {
            uri: QueueUri::from_bytes(&self.uri.bytes()?).ok()?,
            key: CommandKey::from_pkcs8(&self.sender_key.bytes()?).ok()?,
            secret: X25519SecretKey::from_bytes(&*self.secret_key.array()?),
            stage: match self.stage {
                Stage::New => SendStage::New,
                Stage::Secured => SendStage::Secured,
                Stage::Confirmed => SendStage::Confirmed,
            },
            secures: self.sender_secures,
        })
        .ok()
    }
}

/// A state file.
#[derive(Clone, Debug)]
pub(crate) struct StateFile(PathBuf);

impl StateFile {
    /// A file that does not exist yet.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self(path.to_owned())),
            Err(error) => Err(Self(path.to_owned()).failure(error)),
            Ok(_) => Err(Self(path.to_owned()).exists()),
        }
    }

    /// The failure of a file that exists already and must not.
    pub(crate) fn exists(&self) -> Failure {
        let path = self.0.display();
        Failure::new(STATE, format_args!("{path} exists already: go on with it by --resume, or name another file"))
    }

    /// A file that exists.
    pub(crate) fn resume(path: &Path) -> Self {
        Self(path.to_owned())
    }

    fn failure(&self, error: impl std::fmt::Display) -> Failure {
        Failure::new(STATE, format_args!("{}: {error}", self.0.display()))
    }

    /// Reads the state.
    pub(crate) fn read<T: DeserializeOwned, R>(&self, restore: impl FnOnce(&T) -> Option<R>) -> Result<R, Failure> {
        let mut text = Zeroizing::new(String::new());
        File::open(&self.0)
            .and_then(|file| file.take(MAX_LENGTH).read_to_string(&mut text))
            .map_err(|error| self.failure(error))?;
        let what = "is not a state file of this command, or of another version of the program";
        let state: T = serde_json::from_str(&text).map_err(|error| {
            // The position only: the message could quote a secret.
            self.failure(format_args!("{what} (line {}, column {})", error.line(), error.column()))
        })?;
        restore(&state).ok_or_else(|| self.failure(what))
    }

    /// Replaces the state. When this returns, it is on the disk.
    pub(crate) fn write<T: Serialize>(&self, state: &T) -> Result<(), Failure> {
        let text = self.encode(state)?;
        self.keep(&text, |new, name| std::fs::rename(new, name)).map_err(|error| self.failure(error))
    }

    /// Keeps the first state, unless another program was faster: then the file stays as it is. Tells whether the state was
    /// kept; if so, it is on the disk.
    pub(crate) fn write_first<T: Serialize>(&self, state: &T) -> Result<bool, Failure> {
        let text = self.encode(state)?;
        let kept = self.keep(&text, |new, name| match std::fs::hard_link(new, name) {
            Ok(()) => std::fs::remove_file(new),
            Err(error) if error.kind() == ErrorKind::AlreadyExists || name.symlink_metadata().is_ok() => {
                Err(ErrorKind::AlreadyExists.into())
            }
            // Some file systems have no links.
            Err(_) => std::fs::rename(new, name),
        });
        match kept {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(self.failure(error)),
        }
    }

    fn encode<T: Serialize>(&self, state: &T) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut text = Zeroizing::new(serde_json::to_vec_pretty(state).map_err(|error| self.failure(error))?);
        text.push(b'\n');
        Ok(text)
    }

    /// Writes a new file beside this one, and gives it the name in the way of `take_name`.
    fn keep(&self, content: &[u8], take_name: impl FnOnce(&Path, &Path) -> std::io::Result<()>) -> std::io::Result<()> {
        let mut name = self.0.file_name().unwrap_or_default().to_owned();
        // Programs that write at the same time must not write the same file.
        name.push(format!(".{:016x}.new", rand::random::<u64>()));
        let new = self.0.with_file_name(name);
        let result = Self::write_new(&new, content).and_then(|()| take_name(&new, &self.0));
        if result.is_err() {
            let _ = std::fs::remove_file(&new);
        }
        result?;
        let folder = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The name is on the disk, too, once the folder is.
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        #[cfg(not(unix))]
        let _ = folder;
        Ok(())
    }

    fn write_new(new: &Path, content: &[u8]) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(new)?;
        file.write_all(content)?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests;
