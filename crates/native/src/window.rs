/// The window that a broker's own window belongs to, so that it appears in front of it.
///
/// Brokers of Windows and macOS use it. Brokers on Linux have no use for it, and a browser opens
/// where it likes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum ParentWindow {
    /// Whatever suits: the console's window if there is one, else the desktop.
    #[default]
    Automatic,
    /// The window of the console this process runs in.
    Console,
    /// The desktop: in front of nothing in particular.
    Desktop,
    /// A window of the app's own.
    Handle(WindowHandle),
}

/// A native window handle: an `HWND` on Windows, the address of an `NSWindow` on macOS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WindowHandle(isize);

impl WindowHandle {
    /// A handle the operating system gave. Nothing checks it before a broker uses it, and one that
    /// names no window makes the broker refuse or choose for itself.
    #[must_use]
    pub const fn from_raw(handle: isize) -> Self {
        Self(handle)
    }

    /// The handle as the operating system gave it.
    #[must_use]
    pub const fn as_raw(self) -> isize {
        self.0
    }
}
