use std::os::windows::ffi::OsStrExt;
use std::path::Path;

use keybearer_core::{Error, Result};
use windows::Win32::Foundation::{CloseHandle, ERROR_ALREADY_EXISTS, HANDLE, HLOCAL, LocalFree};
use windows::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW,
    GetNamedSecurityInfoW, SDDL_REVISION_1, SE_FILE_OBJECT,
};
use windows::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetTokenInformation, OWNER_SECURITY_INFORMATION,
    PROTECTED_DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, SECURITY_ATTRIBUTES,
    SetFileSecurityW, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows::Win32::Storage::FileSystem::CreateDirectoryW;
use windows::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};
use windows::core::{HSTRING, PCWSTR, PWSTR};

/// Makes the directory if need be, and lets only this user and the system into it.
///
/// A new directory has that access list from the start, and its files inherit it. That of an
/// existing one is set again, which costs little and repairs one that was opened to others.
///
/// # Errors
/// `Internal` if the directory cannot be made, belongs to another user, or cannot be closed.
pub fn private_directory(path: &Path) -> Result<()> {
    let shown = path.display().to_string();
    let failed = |error: windows::core::Error| {
        Error::internal(format!("could not close the directory {shown} to other users"))
            .with_source(error)
    };
    let parent = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    parent.map_err(|error| {
        Error::internal(format!("could not create the directory {shown}")).with_source(error)
    })?;
    let (user, name) = (own_sid().map_err(failed)?, wide(path));
    let list = format!("D:P(A;OICI;FA;;;{user})(A;OICI;FA;;;SY)");
    let list = Descriptor::parse(&list).map_err(failed)?;
    let attributes = SECURITY_ATTRIBUTES {
        nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
        lpSecurityDescriptor: list.0.0,
        bInheritHandle: false.into(),
    };
    // SAFETY: the name ends with a zero; the attributes point to the descriptor, which lives on.
    match unsafe { CreateDirectoryW(PCWSTR(name.as_ptr()), Some(&attributes)) } {
        Err(error) if error.code() == ERROR_ALREADY_EXISTS.to_hresult() => {}
        outcome => return outcome.map_err(failed),
    }
    // Administrators' processes make directories that belong to their group.
    const ADMINISTRATORS: &str = "S-1-5-32-544";
    let owner = owner(path).map_err(failed)?;
    if owner != user && owner != ADMINISTRATORS {
        return Err(Error::internal(format!(
            "could not use {shown}: it belongs to {owner}, not to you"
        ))
        .with_hint(format!("find out who made it, then move {shown} away")));
    }
    let what = DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION;
    // SAFETY: as above.
    unsafe { SetFileSecurityW(PCWSTR(name.as_ptr()), what, list.0) }.ok().map_err(failed)
}

/// A security descriptor that the system made.
struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    fn parse(text: &str) -> windows::core::Result<Self> {
        let mut descriptor = PSECURITY_DESCRIPTOR::default();
        // SAFETY: the text ends with a zero; what is handed out is freed by `drop`.
        unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                &HSTRING::from(text),
                SDDL_REVISION_1,
                &mut descriptor,
                None,
            )
        }?;
        Ok(Self(descriptor))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the functions that made it say to free it so, once.
        unsafe { LocalFree(Some(HLOCAL(self.0.0))) };
    }
}

/// Whose directory it is.
fn owner(path: &Path) -> windows::core::Result<String> {
    let name = wide(path);
    let (mut owner, mut descriptor) = (PSID::default(), PSECURITY_DESCRIPTOR::default());
    // SAFETY: the name ends with a zero; the owner points into the descriptor, freed by `Drop`.
    unsafe {
        GetNamedSecurityInfoW(
            PCWSTR(name.as_ptr()),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            Some(&mut owner),
            None,
            None,
            None,
            &mut descriptor,
        )
    }
    .ok()?;
    let _descriptor = Descriptor(descriptor);
    sid_text(owner)
}

/// The user this process runs as.
fn own_sid() -> windows::core::Result<String> {
    let mut token = HANDLE::default();
    // SAFETY: the process' own pseudo handle needs no closing; the token is closed below.
    unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token) }?;
    // A user is a pointer, flags, and an id of at most 68 bytes; aligned for the pointer.
    let mut buffer = [0_u64; 32];
    let mut length = 0;
    // SAFETY: the buffer is as long as said.
    let outcome = unsafe {
        let size = size_of_val(&buffer) as u32;
        let start = buffer.as_mut_ptr().cast();
        GetTokenInformation(token, TokenUser, Some(start), size, &mut length)
    };
    // SAFETY: opened above, closed once.
    unsafe { CloseHandle(token) }?;
    outcome?;
    // SAFETY: a successful call left a `TOKEN_USER` there, whose id lies in the same buffer.
    sid_text(unsafe { (*buffer.as_ptr().cast::<TOKEN_USER>()).User.Sid })
}

fn sid_text(sid: PSID) -> windows::core::Result<String> {
    let mut text = PWSTR::null();
    // SAFETY: the id is valid, by the callers; the text is freed after it was copied.
    unsafe {
        ConvertSidToStringSidW(sid, &mut text)?;
        let copy = text.to_string().unwrap_or_default();
        LocalFree(Some(HLOCAL(text.0.cast())));
        Ok(copy)
    }
}

fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use windows::Win32::Security::Authorization::ConvertSecurityDescriptorToStringSecurityDescriptorW;

    use super::*;

    fn access_list(path: &Path) -> String {
        let name = wide(path);
        let (mut descriptor, mut text) = (PSECURITY_DESCRIPTOR::default(), PWSTR::null());
        // SAFETY: as in `owner` and `sid_text`.
        unsafe {
            GetNamedSecurityInfoW(
                PCWSTR(name.as_ptr()),
                SE_FILE_OBJECT,
                DACL_SECURITY_INFORMATION,
                None,
                None,
                None,
                None,
                &mut descriptor,
            )
            .ok()
            .unwrap();
            let descriptor = Descriptor(descriptor);
            ConvertSecurityDescriptorToStringSecurityDescriptorW(
                descriptor.0,
                SDDL_REVISION_1,
                DACL_SECURITY_INFORMATION,
                &mut text,
                None,
            )
            .unwrap();
            let copy = text.to_string().unwrap();
            LocalFree(Some(HLOCAL(text.0.cast())));
            copy
        }
    }

    #[test]
    fn only_this_user_and_the_system_are_let_in() {
        let dir = tempfile::tempdir().unwrap();
        let (new, opened) = (dir.path().join("new"), dir.path().join("opened"));
        std::fs::create_dir(&opened).unwrap();
        for path in [new, opened] {
            private_directory(&path).unwrap();
            private_directory(&path).unwrap();
            let list = access_list(&path);
            let mut entries = list.matches('(').count();
            for allowed in [own_sid().unwrap(), "SY".to_owned()] {
                entries -= list.matches(&format!(";;;{allowed})")).count();
            }
            assert!(list.contains(&own_sid().unwrap()) && entries == 0, "{list}");
        }
    }
}
