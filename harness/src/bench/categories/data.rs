//! The streams, made anew by each run and gone behind it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow_schema::TimeUnit;
use trefoil_ring0::format::time::write_timestamp;

use crate::bench::data::Random;
use crate::failure::Failure;

pub(super) const SCHEMA: &str = "
CREATE SOURCE readings (reading_id BIGINT, device_id VARCHAR, sensor_type VARCHAR, value DOUBLE,
    lot BIGINT, event_time TIMESTAMP(3),
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND)
    WITH (connector = 'file', path = 'readings.ndjson', format = 'json');
CREATE SOURCE checks (device_id VARCHAR, lot BIGINT, event_time TIMESTAMP(3),
    WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND)
    WITH (connector = 'file', path = 'checks.ndjson', format = 'json');
CREATE TABLE devices (device_id VARCHAR, location VARCHAR, PRIMARY KEY (device_id))
    WITH (connector = 'file', path = 'devices.ndjson', format = 'json');
";

/// Devices, each as often as any other.
const DEVICES: u64 = 400;
const LOTS: u64 = 1000;
const SENSORS: [&str; 4] = ["humidity", "pressure", "temperature", "vibration"];
/// Values are quarters below this.
const VALUE_MAX: u64 = 400;
/// A record in so many milliseconds: a reading has a check or none within a second of it, and a
/// device's records are sometimes more than four seconds apart.
const STEP_MS: i64 = 10;
/// How far behind the latest record one may be.
const DISORDER_MS: u64 = 2000;
/// The time of the first record, in milliseconds since 1970.
const START_MS: i64 = 1_704_067_200_000;

/// Files in a folder that goes with this.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    /// Records of each stream.
    pub(super) rows: usize,
}

impl Drop for Files {
    fn drop(&mut self) {
        // What cannot be removed is in a folder for what is temporary.
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Files {
    /// The same each time.
    pub(super) fn make(rows: usize) -> Result<Self, Failure> {
        if rows == 0 {
            return Err(Failure::Usage("--rows is at least 1 here".to_owned()));
        }
        let folder = format!("trefoil-bench-categories-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder)?;
        let files = Self { folder, rows };
        let mut random = Random::default();
        let mut below = move |end: u64| random.below(end);
        let mut readings = files.file("readings")?;
        let mut checks = files.file("checks")?;
        for n in 0..rows as i64 {
            let (device, sensor) = (below(DEVICES), SENSORS[below(4) as usize]);
            let (value, lot) = (below(VALUE_MAX) as f64 / 4.0, below(LOTS));
            let at = time(n, below(DISORDER_MS));
            writeln!(
                readings,
                "{{\"reading_id\":{n},\"device_id\":\"dev-{device:03}\",\"sensor_type\":\
                 \"{sensor}\",\"value\":{value:?},\"lot\":{lot},\"event_time\":\"{at}\"}}"
            )?;
            let (device, lot) = (below(DEVICES), below(LOTS));
            let at = time(n, below(DISORDER_MS));
            writeln!(
                checks,
                "{{\"device_id\":\"dev-{device:03}\",\"lot\":{lot},\"event_time\":\"{at}\"}}"
            )?;
        }
        readings.flush()?;
        checks.flush()?;
        let mut devices = files.file("devices")?;
        for device in 0..DEVICES {
            let place = device % 20;
            writeln!(
                devices,
                "{{\"device_id\":\"dev-{device:03}\",\"location\":\"hall {place}\"}}"
            )?;
        }
        devices.flush()?;
        Ok(files)
    }

    fn file(&self, name: &str) -> Result<BufWriter<File>, Failure> {
        let path = self.folder.join(format!("{name}.ndjson"));
        Ok(BufWriter::new(File::create(path)?))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// When record `n` happened, so far behind its turn.
fn time(n: i64, behind_ms: u64) -> String {
    let mut text = Vec::new();
    let at = START_MS + n * STEP_MS - behind_ms as i64;
    write_timestamp(at, TimeUnit::Millisecond, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
