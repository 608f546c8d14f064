use windows::Win32::Foundation::{ERROR_INVALID_WINDOW_HANDLE, HWND};
use windows::Win32::System::Console::GetConsoleWindow;
use windows::Win32::UI::WindowsAndMessaging::{
    GA_ROOTOWNER, GetAncestor, GetDesktopWindow, IsWindow,
};
use windows::core::Result;

use crate::window::ParentWindow;

/// The window a dialogue belongs to: the one given, else that of the console, else the desktop.
///
/// The null handle is none: it is what `GetForegroundWindow` returns while no window has the focus.
pub(super) fn handle(parent: ParentWindow) -> Result<HWND> {
    if let ParentWindow::Handle(handle) = parent
        && handle.as_raw() != 0
    {
        let window = HWND(handle.as_raw() as *mut _);
        // SAFETY: any value may be asked about.
        return if unsafe { IsWindow(Some(window)) }.as_bool() {
            Ok(window)
        } else {
            Err(ERROR_INVALID_WINDOW_HANDLE.into())
        };
    }
    if parent == ParentWindow::Desktop {
        // SAFETY: takes nothing and returns a handle.
        return Ok(unsafe { GetDesktopWindow() });
    }
    // SAFETY: takes nothing and returns a handle, which may be null.
    let console = unsafe { GetConsoleWindow() };
    if console.is_invalid() {
        // SAFETY: takes nothing and returns a handle.
        return Ok(unsafe { GetDesktopWindow() });
    }
    // In a terminal program the console's own window is hidden; its owner is what a person sees.
    // SAFETY: any handle may be asked about; null means that there is no owner.
    let owner = unsafe { GetAncestor(console, GA_ROOTOWNER) };
    Ok(if owner.is_invalid() { console } else { owner })
}
