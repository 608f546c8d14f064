use keybearer_engine::Random;

/// The operating system's random number generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    /// # Panics
    /// If the system has no randomness: no secret can be made without it.
    #[allow(clippy::expect_used, reason = "secrets without randomness would be worse")]
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
