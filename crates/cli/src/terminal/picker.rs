use keybearer_core::{Account, AccountPick, Result};

use super::key::Key;
use super::say;
use super::tty::Tty;

/// With more rows the heading would scroll out of a small terminal.
const ROWS: usize = 10;
const ANOTHER: &str = "use another account";

/// An account picker: arrows move the cursor, letters filter the list, a number chooses at once.
#[derive(Debug)]
pub(super) struct Picker {
    entries: Vec<Entry>,
    filter: String,
    /// The position in the filtered list.
    cursor: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    text: String,
    pick: AccountPick,
}

/// The effect of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Continue,
    Chosen(AccountPick),
    Cancelled,
}

impl Picker {
    pub(super) fn new(accounts: &[Account]) -> Self {
        let known = accounts.iter().map(|account| {
            let text = match &account.name {
                Some(name) => format!("{}  ({name})", account.username),
                None => account.username.clone(),
            };
            // Text from elsewhere must not move the cursor.
            let text = text.chars().filter(|c| !c.is_control()).collect();
            Entry { text, pick: AccountPick::Known(account.home_account_id.clone()) }
        });
        let another = Entry { text: ANOTHER.to_owned(), pick: AccountPick::Another };
        Self { entries: known.chain([another]).collect(), filter: String::new(), cursor: 0 }
    }

    /// Prompts, and redraws the list after each key; `None` if the person cancelled.
    pub(super) async fn ask(&mut self, tty: &mut Tty) -> Result<Option<AccountPick>> {
        let mut drawn = 0;
        loop {
            let lines = self.lines();
            say(&format!("{}{}\n", erase(drawn), lines.join("\n")));
            drawn = lines.len();
            let step = match tty.key().await {
                Ok(key) => self.step(key),
                Err(error) => return Err(error),
            };
            if step != Step::Continue {
                say(&erase(drawn));
            }
            match step {
                Step::Continue => {}
                Step::Chosen(pick) => return Ok(Some(pick)),
                Step::Cancelled => return Ok(None),
            }
        }
    }

    /// Prompts for a number or a part of a name until there is a match; `None` if the person
    /// cancelled.
    pub(super) async fn ask_in_lines(&mut self, tty: &mut Tty) -> Result<Option<AccountPick>> {
        for (number, entry) in self.entries.iter().enumerate() {
            say(&format!("{:3}  {}\n", number + 1, entry.text));
        }
        loop {
            say("number or name of the account: ");
            let mut line = String::new();
            loop {
                match tty.key().await? {
                    Key::Enter => break,
                    Key::Escape | Key::End => return Ok(None),
                    Key::Character(c) => {
                        line.push(c);
                        say(c.encode_utf8(&mut [0; 4]));
                    }
                    Key::Backspace => {
                        line.pop();
                    }
                    Key::Clear => line.clear(),
                    Key::Up | Key::Down | Key::Other => {}
                }
            }
            say("\n");
            if let Some(entry) = self.named(line.trim()) {
                return Ok(Some(entry.pick.clone()));
            }
        }
    }

    /// The entry with this number, or the only one that contains this text.
    fn named(&self, text: &str) -> Option<&Entry> {
        if let Ok(number) = text.parse::<usize>() {
            return number.checked_sub(1).and_then(|index| self.entries.get(index));
        }
        let mut found = self.entries.iter().filter(|entry| entry.has(text));
        match (found.next(), found.next()) {
            (Some(entry), None) => Some(entry),
            _ => None,
        }
    }

    fn shown(&self) -> Vec<(usize, &Entry)> {
        let entries = self.entries.iter().enumerate();
        entries.filter(|(_, entry)| entry.has(&self.filter)).collect()
    }

    fn step(&mut self, key: Key) -> Step {
        let count = self.shown().len();
        match key {
            Key::Up => self.cursor = (self.cursor + count.saturating_sub(1)) % count.max(1),
            Key::Down => self.cursor = (self.cursor + 1) % count.max(1),
            Key::Enter => {
                if let Some((_, entry)) = self.shown().get(self.cursor) {
                    return Step::Chosen(entry.pick.clone());
                }
            }
            Key::Character(c) => {
                let number = c.to_digit(10).filter(|_| self.filter.is_empty());
                let index = number.and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
                if let Some(entry) = index.and_then(|index| self.entries.get(index)) {
                    return Step::Chosen(entry.pick.clone());
                }
                self.narrow(|filter| filter.push(c));
            }
            Key::Backspace => self.narrow(|filter| {
                filter.pop();
            }),
            Key::Clear => self.narrow(String::clear),
            Key::Escape | Key::End => return Step::Cancelled,
            Key::Other => {}
        }
        Step::Continue
    }

    fn narrow(&mut self, change: impl FnOnce(&mut String)) {
        change(&mut self.filter);
        self.cursor = 0;
    }

    fn lines(&self) -> Vec<String> {
        let shown = self.shown();
        let first = (self.cursor + 1).saturating_sub(ROWS);
        let mut lines = vec![
            "Choose an account (arrows and Enter, its number, or type a part of its name):"
                .to_owned(),
        ];
        lines.extend(shown.iter().enumerate().skip(first).take(ROWS).map(
            |(row, (index, entry))| {
                let mark = if row == self.cursor { ">" } else { " " };
                format!("{mark} {:2}  {}", index + 1, entry.text)
            },
        ));
        if shown.len() > ROWS {
            lines.push(format!("   ({} of {})", self.cursor + 1, shown.len()));
        }
        if !self.filter.is_empty() {
            lines.push(format!("  filter: {}", self.filter));
        }
        lines
    }
}

impl Entry {
    fn has(&self, part: &str) -> bool {
        self.text.to_lowercase().contains(&part.to_lowercase())
    }
}

/// Moves the cursor up by `lines` lines and clears them.
fn erase(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}A\r\x1b[J") }
}

#[cfg(test)]
mod tests {
    use keybearer_core::{HomeAccountId, TenantId};

    use super::*;

    fn accounts(names: &[&str]) -> Vec<Account> {
        let account = |name: &&str| Account {
            home_account_id: HomeAccountId::parse(&format!("{name}.tid")).unwrap(),
            environment: "login.windows.net".into(),
            realm: TenantId::parse("tid").unwrap(),
            local_account_id: (*name).into(),
            username: format!("{name}@contoso.example"),
            name: None,
        };
        names.iter().map(account).collect()
    }

    fn known(name: &str) -> Step {
        Step::Chosen(AccountPick::Known(HomeAccountId::parse(&format!("{name}.tid")).unwrap()))
    }

    #[test]
    fn keys_lead_to_a_choice() {
        use Key::{Backspace, Character, Clear, Down, End, Enter, Escape, Other, Up};
        let another = || Step::Chosen(AccountPick::Another);
        for (keys, expected) in [
            (&[Enter][..], known("dev")),
            (&[Down, Enter], known("ops")),
            (&[Up, Enter], another()),
            (&[Down, Down, Down, Down, Enter], known("dev")),
            (&[Character('2')], known("ops")),
            (&[Character('4')], another()),
            (&[Character('O'), Character('p'), Enter], known("ops")),
            (&[Character('x'), Character('x'), Enter], Step::Continue),
            (&[Character('x'), Backspace, Down, Enter], known("ops")),
            (&[Character('o'), Character('9'), Clear, Character('3')], known("x9")),
            (&[Character('x'), Character('9'), Enter], known("x9")),
            (&[Down, Character('d'), Enter], known("dev")),
            (&[Other, Escape], Step::Cancelled),
            (&[End], Step::Cancelled),
        ] {
            let mut picker = Picker::new(&accounts(&["dev", "ops", "x9"]));
            let last = keys.iter().map(|key| picker.step(*key)).last().unwrap();
            assert_eq!(last, expected, "{keys:?}");
        }
    }

    #[test]
    fn the_list_shows_the_cursor_and_what_it_was_narrowed_to() {
        let mut known = accounts(&["dev", "ops"]);
        known[1].username.insert_str(3, "\u{1b}[31m");
        let mut picker = Picker::new(&known);
        picker.step(Key::Down);
        assert_eq!(
            picker.lines()[1..],
            [
                "   1  dev@contoso.example",
                ">  2  ops[31m@contoso.example",
                "   3  use another account"
            ]
        );
        picker.step(Key::Character('V'));
        assert_eq!(picker.lines()[1..], [">  1  dev@contoso.example", "  filter: V"]);
    }

    #[test]
    fn a_long_list_moves_with_the_cursor() {
        let names: Vec<String> = (10..40).map(|number| format!("user{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut picker = Picker::new(&accounts(&names));
        for _ in 0..14 {
            picker.step(Key::Down);
        }
        let lines = picker.lines();
        assert_eq!(lines.len(), ROWS + 2);
        assert_eq!(
            (lines[1].trim(), lines[10].as_str()),
            ("6  user15@contoso.example", "> 15  user24@contoso.example")
        );
        assert_eq!(lines[11], "   (15 of 31)");
    }

    #[test]
    fn a_line_names_an_account_by_number_or_by_a_part_that_only_it_has() {
        let picker = Picker::new(&accounts(&["dev", "ops"]));
        let named = |text| picker.named(text).map(|entry| entry.pick.clone());
        for (text, expected) in [("1", "dev"), ("OPS", "ops")] {
            assert_eq!(named(text).map(Step::Chosen), Some(known(expected)));
        }
        for text in ["0", "9", "contoso", "nobody"] {
            assert_eq!(named(text), None, "{text}");
        }
        assert_eq!(named("another"), Some(AccountPick::Another));
    }
}
