//! A file that grows. Its end is looked at several times a second; where the file became shorter,
//! or another one took its name, it is read again from the beginning, and that is told. What stands
//! behind the last newline by then is a record of its own. A run that goes on reads on in the file
//! that begins as the one before did.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use trefoil_ring0::feed::{BLOCK_BYTES, Blocks, Feed, FeedPlace, Feeder};

/// Time between two looks.
const LOOK_MS: i32 = 20;

/// A file that is followed.
#[derive(Debug, Clone)]
pub struct Tail {
    /// Where it is.
    pub path: PathBuf,
}

impl Feed for Tail {
    fn name(&self) -> PathBuf {
        self.path.clone()
    }

    fn open(&self) -> Result<Box<dyn Feeder>, String> {
        let failed = |error: std::io::Error| error.to_string();
        let facts = std::fs::metadata(&self.path).map_err(failed)?;
        if !facts.is_file() {
            return Err("it is not a regular file, which could be followed".to_owned());
        }
        let file = File::open(&self.path).map_err(failed)?;
        Ok(Box::new(Following {
            path: self.path.clone(),
            file,
            at: 0,
            next: None,
        }))
    }

    fn goes_on(&self) -> bool {
        true
    }

    fn open_at(&self, place: &FeedPlace) -> Result<Box<dyn Feeder>, String> {
        let failed = |error: std::io::Error| error.to_string();
        let file = File::open(&self.path).map_err(failed)?;
        let facts = file.metadata().map_err(failed)?;
        let other = format!(
            "it is not the file that was read, of which {} bytes were",
            place.at
        );
        let mut head = vec![0; place.head.len()];
        let reads = (facts.len() >= head.len() as u64)
            .then(|| file.read_exact_at(&mut head, 0).map_err(failed));
        if reads.transpose()?.is_none() || head != place.head {
            return Err(other);
        }
        let mut before = vec![0; place.before.len()];
        if let Some(from) = place.at.checked_sub(before.len() as u64)
            && facts.len() >= place.at
        {
            file.read_exact_at(&mut before, from).map_err(failed)?;
            if before != place.before {
                return Err(other);
            }
        }
        if facts.len() < place.at {
            return Err(format!(
                "it became shorter than the {} bytes that were read",
                place.at
            ));
        }
        Ok(Box::new(Following {
            path: self.path.clone(),
            file,
            at: place.at,
            next: None,
        }))
    }
}

struct Following {
    path: PathBuf,
    file: File,
    /// How much of it was read.
    at: u64,
    /// What took its place, once it was read up to its end.
    next: Option<File>,
}

/// What became of the file at whose end we are.
enum Seen {
    /// There is no more yet.
    Nothing,
    /// It was cut.
    Shorter,
    /// Its name belongs to another one.
    Replaced(File),
}

impl Feeder for Following {
    fn run(mut self: Box<Self>, blocks: &mut Blocks) -> Result<(), String> {
        let mut spare = None;
        while blocks.is_wanted() {
            let Some(mut block) = spare.take().or_else(|| blocks.buffer()) else {
                break;
            };
            block.resize(BLOCK_BYTES, 0);
            let read = self.file.read_at(&mut block, self.at);
            let count = read.map_err(|error| error.to_string())?;
            if count > 0 {
                block.truncate(count);
                self.at += count as u64;
                blocks.send(block);
                continue;
            }
            block.clear();
            // It was written to before it gave way, and that was read by now.
            if let Some(file) = self.next.take() {
                (self.file, self.at) = (file, 0);
                blocks.begin(block);
                continue;
            }
            let seen = self.look().map_err(|error| error.to_string())?;
            let name = self.path.display();
            match seen {
                Seen::Nothing => {
                    spare = Some(block);
                    blocks.wait(LOOK_MS);
                    continue;
                }
                Seen::Shorter => {
                    blocks.tell(&format!(
                        "{name} became shorter: it is read again from its beginning"
                    ));
                    self.at = 0;
                    blocks.begin(block);
                }
                Seen::Replaced(file) => {
                    blocks.tell(&format!("{name} was replaced: the new file is read"));
                    self.next = Some(file);
                    spare = Some(block);
                }
            }
        }
        Ok(())
    }
}

impl Following {
    fn look(&self) -> std::io::Result<Seen> {
        let own = self.file.metadata()?;
        if own.len() < self.at {
            return Ok(Seen::Shorter);
        }
        // More was written since: that comes first, also where the name has gone on.
        if own.len() > self.at {
            return Ok(Seen::Nothing);
        }
        let is_other = |other: &Metadata| (other.dev(), other.ino()) != (own.dev(), own.ino());
        // Between two files there may be none for a moment.
        match File::open(&self.path) {
            Ok(file) if file.metadata().is_ok_and(|other| is_other(&other)) => {
                Ok(Seen::Replaced(file))
            }
            Ok(_) | Err(_) => Ok(Seen::Nothing),
        }
    }
}
