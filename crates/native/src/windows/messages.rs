use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use windows::Win32::UI::WindowsAndMessaging::{
    DispatchMessageW, IsGUIThread, MSG, MWMO_INPUTAVAILABLE, MsgWaitForMultipleObjectsEx,
    PM_REMOVE, PeekMessageW, PostQuitMessage, QS_ALLINPUT, TranslateMessage, WM_QUIT,
};

/// Waits for a value as [`Receiver::recv_timeout`] does; on a thread with windows their messages
/// are handled meanwhile. A dialogue of Windows' broker belongs to a window of the caller: if that
/// one's thread stood still, so would the dialogue.
pub fn receive<T>(from: &Receiver<T>, patience: Duration) -> Result<T, RecvTimeoutError> {
    // SAFETY: only asks, as the argument says.
    if !unsafe { IsGUIThread(false) }.as_bool() {
        return from.recv_timeout(patience);
    }
    /// An answer does not wake the wait for messages.
    const TICK: u32 = 5;
    let end = Instant::now() + patience;
    loop {
        match from.try_recv() {
            Ok(value) => return Ok(value),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(RecvTimeoutError::Timeout);
        }
        // SAFETY: waits for messages only, without handles.
        unsafe { MsgWaitForMultipleObjectsEx(None, TICK, QS_ALLINPUT, MWMO_INPUTAVAILABLE) };
        if let Dispatched::Quit = dispatch() {
            return from.recv_timeout(left);
        }
    }
}

enum Dispatched {
    All,
    /// The program is to end; its own loop must hear of it.
    Quit,
}

fn dispatch() -> Dispatched {
    let mut message = MSG::default();
    // SAFETY: the message is written before it is used, on the thread that it is for.
    unsafe {
        while PeekMessageW(&mut message, None, 0, 0, PM_REMOVE).as_bool() {
            if message.message == WM_QUIT {
                PostQuitMessage(message.wParam.0 as i32);
                return Dispatched::Quit;
            }
            let _ = TranslateMessage(&message);
            DispatchMessageW(&message);
        }
    }
    Dispatched::All
}
