use keybearer_engine::Random;

/// The operating system's random number generator.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "has no state")]
pub struct SystemRandom;

impl Random for SystemRandom {
    /// # Panics
    /// If the system has no randomness: nothing secret can be made then.
    #[allow(clippy::expect_used, reason = "going on without randomness would be worse")]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system's random number generator works");
    }
}

/// `bytes` random bytes as lower-case hexadecimal.
pub(crate) fn random_hex(random: &dyn Random, bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    random.fill(&mut buffer);
    buffer.iter().map(|byte| format!("{byte:02x}")).collect()
}
