/// A key press.
#[cfg_attr(not(unix), expect(dead_code, reason = "only a Unix terminal is read key by key"))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Character(char),
    Enter,
    Backspace,
    /// Ctrl-U: delete the line.
    Clear,
    Escape,
    Up,
    Down,
    /// The input has ended.
    End,
    Other,
}
