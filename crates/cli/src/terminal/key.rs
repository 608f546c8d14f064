/// What was typed.
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
