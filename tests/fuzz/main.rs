//! libFuzzer around one of the bodies, which `BLX_FUZZ` names. `tests/fuzz/run` builds and runs it.

#![no_main]

mod bodies;

use std::sync::OnceLock;

use bodies::Body;

static CHOSEN: OnceLock<Body> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let body = CHOSEN.get_or_init(|| {
        let name = std::env::var("BLX_FUZZ").unwrap_or_default();
        bodies::named(&name).unwrap_or_else(|| panic!("BLX_FUZZ={name:?} names no body"))
    });
    body(data);
});
