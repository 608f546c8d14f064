/// What was typed.
#[cfg_attr(not(unix), expect(dead_code, reason = "only a Unix terminal is read key by key"))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Character(char),
    Enter,
    Backspace,
    /// The whole line is to go.
    Clear,
    Escape,
    Up,
    Down,
    /// There will be nothing more.
    End,
    Other,
}
