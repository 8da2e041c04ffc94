//! The options of sockets that listen: where, and what a client may take of the engine.

use std::sync::Arc;
use std::time::Duration;

use trefoil_ring0::program::FileFormat;
use trefoil_ring1::connector::{Address, Sockets};

use super::{duration, get, later, word};
use crate::catalog::{SourceDef, SourceFormat};
use crate::error::SqlError;
use crate::place::Place;
use crate::syntax::{CreateSource, OptionSpec};

/// What these connectors know.
pub(super) const OPTIONS: [&str; 5] = [
    "acknowledge",
    "address",
    "max_connections",
    "max_record_bytes",
    "max_silence",
];

/// Connections at once, where nothing is said, and at most.
const CONNECTIONS: usize = 64;
const CONNECTIONS_MAX: usize = 1024;
/// Bytes of a record, where nothing is said, and at most.
const RECORD_BYTES: usize = 1024 * 1024;
const RECORD_BYTES_MAX: usize = trefoil_ring0::limits::RECORD_BYTES_MAX;
/// How long a client may be silent, where nothing is said.
const SILENCE: Duration = Duration::from_secs(3600);

/// Whether sources of a connector are sockets that listen.
pub(super) fn is_socket(connector: &str) -> bool {
    matches!(connector, "tcp" | "unix")
}

/// What a source listens to.
pub(super) fn sockets(
    place: Place<'_>,
    def: &mut SourceDef,
    create: &CreateSource,
) -> Result<Sockets, SqlError> {
    let options = &create.options;
    let address = get(options, "address").expect("it is needed").value.clone();
    let address = match def.connector.as_deref() {
        Some("unix") => Address::Unix(place.file.base.join(address)),
        // Without a host nobody but this machine gets through.
        _ if address.starts_with(':') => Address::Tcp(format!("127.0.0.1{address}")),
        _ => Address::Tcp(address),
    };
    if def.has_changes() {
        let why = "format 'debezium_json' of a socket cannot run yet";
        later(def, why.to_owned());
    }
    let number = |name: &str, usual: usize, most: usize| match get(options, name) {
        None => Ok(usual),
        Some(option) => within(place, option, most),
    };
    let silence_max = match get(options, "max_silence") {
        None => SILENCE,
        Some(option) => match duration(place, option)? {
            0 => {
                let message = "max_silence is above 0";
                let hint = "max_silence = '5 minutes'";
                return Err(place.hinted("E0104", option.value_at.0, message, hint));
            }
            ns => Duration::from_nanos(ns.unsigned_abs()),
        },
    };
    let acknowledges = match get(options, "acknowledge") {
        None => false,
        Some(option) => word(place, option, &["true", "false"])? == "true",
    };
    let frames = match &def.format {
        SourceFormat::Records(FileFormat::Binary(fields)) => Some(Arc::clone(fields)),
        _ => None,
    };
    Ok(Sockets {
        acknowledges: (acknowledges || frames.is_some()).then(Arc::default),
        frames,
        address,
        connections_max: number("max_connections", CONNECTIONS, CONNECTIONS_MAX)?,
        record_bytes_max: number("max_record_bytes", RECORD_BYTES, RECORD_BYTES_MAX)?,
        silence_max,
    })
}

fn within(place: Place<'_>, option: &OptionSpec, most: usize) -> Result<usize, SqlError> {
    match option.value.parse() {
        Ok(n) if (1..=most).contains(&n) => Ok(n),
        _ => {
            let message = format!("'{}' is no number from 1 to {most}", option.value);
            let hint = format!("{} = {}", option.name, most.min(CONNECTIONS));
            Err(place.hinted("E0104", option.value_at.0, message, hint))
        }
    }
}
