//! Standard input as a stream. It ends where its writer closes it; nobody waits for a read that is
//! under way when the run ends.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;

use trefoil_ring0::feed::{BLOCK_BYTES, Blocks, Feed, Feeder};

/// Standard input.
#[derive(Debug, Clone, Copy)]
pub struct Stdin;

impl Feed for Stdin {
    fn name(&self) -> PathBuf {
        PathBuf::from("<stdin>")
    }

    fn open(&self) -> Result<Box<dyn Feeder>, String> {
        // Without the buffer that the standard library puts before it.
        let descriptor = std::io::stdin().as_fd().try_clone_to_owned();
        let descriptor = descriptor.map_err(|error| error.to_string())?;
        Ok(Box::new(Reading(File::from(descriptor))))
    }
}

struct Reading(File);

impl Feeder for Reading {
    fn run(mut self: Box<Self>, blocks: &mut Blocks) -> Result<(), String> {
        while let Some(mut block) = blocks.buffer() {
            block.resize(BLOCK_BYTES, 0);
            let count = loop {
                match self.0.read(&mut block) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    read => break read.map_err(|error| error.to_string())?,
                }
            };
            if count == 0 {
                break;
            }
            block.truncate(count);
            blocks.send(block);
        }
        Ok(())
    }
}
