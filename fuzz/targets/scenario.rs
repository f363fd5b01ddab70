//! Scenarios' files: read, and what is wrong with them said.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schedrig_fuzz::plant;

fuzz_target!(init: plant(seeds()), |text: &str| {
    match scenario::parse(text, "fuzzed", None) {
        Ok(scenario) => assert_eq!(scenario.check(), Ok(())),
        Err(mistake) => assert!(!mistake.to_string().is_empty()),
    }
});

fn seeds() -> Vec<Vec<u8>> {
    let canned = scenario::CANNED.iter().map(|canned| canned.text);
    canned
        .chain([scenario::TEMPLATE])
        .map(|text| text.as_bytes().to_vec())
        .collect()
}
