//! Pages that work without JavaScript. This module escapes every text of a page.

/// A page: a card with a heading, text, and at most one form.
#[derive(Debug)]
pub(crate) struct Page {
    title: String,
    body: String,
}

/// Whether a button is the page's main one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Weight {
    Main,
    Other,
}

impl Page {
    pub(crate) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: format!("<h1>{}</h1>", escape(title)) }
    }

    #[must_use]
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.body += &format!("<p>{}</p>", escape(text));
        self
    }

    /// Adds an alert, if there is one.
    #[must_use]
    pub(crate) fn alert(mut self, text: Option<&str>) -> Self {
        if let Some(text) = text {
            self.body += &format!(r#"<p class="alert" role="alert">{}</p>"#, escape(text));
        }
        self
    }

    #[must_use]
    pub(crate) fn form(mut self, form: &Form) -> Self {
        self.body += &form.to_html();
        self
    }

    /// Submits the page's form as soon as it is shown, if scripts run.
    #[must_use]
    pub(crate) fn submitting_itself(mut self) -> Self {
        self.body += "<script>document.forms[0].submit()</script>";
        self
    }

    pub(crate) fn to_html(&self) -> String {
        format!(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{}</title><style>{STYLE}</style></head>\
             <body><main><p class=\"brand\">Entra emulator</p>{}</main></body></html>",
            escape(&self.title),
            self.body
        )
    }
}

/// A form that is sent by POST. Buttons have the name `action` unless another name is given.
#[derive(Debug)]
pub(crate) struct Form(String);

impl Form {
    pub(crate) fn to(action: &str) -> Self {
        Self(format!(r#"<form method="post" action="{}">"#, escape(action)))
    }

    #[must_use]
    pub(crate) fn hidden(mut self, name: &str, value: &str) -> Self {
        self.0 +=
            &format!(r#"<input type="hidden" name="{}" value="{}">"#, escape(name), escape(value));
        self
    }

    /// Adds an input. `kind` is its type, and also selects its `autocomplete`.
    #[must_use]
    pub(crate) fn input(mut self, label: &str, name: &str, kind: &str, value: &str) -> Self {
        let name = escape(name);
        self.0 += &format!(
            r#"<label for="{name}">{}</label><input id="{name}" name="{name}" type="{}" value="{}" autocomplete="{}" required autofocus>"#,
            escape(label),
            escape(kind),
            escape(value),
            match kind {
                "email" => "username",
                "password" => "current-password",
                _ => "off",
            },
        );
        self
    }

    #[must_use]
    pub(crate) fn button(self, value: &str, label: &str, weight: Weight) -> Self {
        self.named_button("action", value, label, weight)
    }

    #[must_use]
    pub(crate) fn named_button(
        mut self,
        name: &str,
        value: &str,
        label: &str,
        weight: Weight,
    ) -> Self {
        // The browser checks that inputs are filled only for the main button.
        let (class, checks) = match weight {
            Weight::Main => ("main", ""),
            Weight::Other => ("other", " formnovalidate"),
        };
        self.0 += &format!(
            r#"<button type="submit" class="{class}" name="{}" value="{}"{checks}>{}</button>"#,
            escape(name),
            escape(value),
            escape(label)
        );
        self
    }

    fn to_html(&self) -> String {
        format!("{}</form>", self.0)
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            _ => escaped.push(letter),
        }
    }
    escaped
}

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{margin:0;min-height:100vh;display:grid;place-items:center;font:16px/1.45 system-ui,sans-serif;background:#e9eef5;color:#1b1b1b}\
main{box-sizing:border-box;width:min(27rem,94vw);padding:2.2rem;background:#fff;border-radius:.5rem;box-shadow:0 2px 12px #0003}\
.brand{margin:0;color:#616161;font-weight:600}h1{font-size:1.45rem;margin:.6rem 0 1rem}\
p{overflow-wrap:anywhere}.alert{color:#b00020}form{display:grid;gap:.7rem}\
label{font-weight:600}input{font:inherit;padding:.55rem;border:1px solid #767676;border-radius:.25rem}\
button{font:inherit;padding:.6rem;border:1px solid #767676;border-radius:.25rem;background:transparent;color:inherit;cursor:pointer}\
button.main{background:#0f5cad;border-color:#0f5cad;color:#fff}\
@media(prefers-color-scheme:dark){body{background:#16181c;color:#f0f0f0}main{background:#25282e}.brand{color:#b5b5b5}.alert{color:#ff8a80}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_reaches_the_page_unescaped() {
        let evil = "\"><script>alert('1')</script>&";
        let form = Form::to(evil)
            .hidden(evil, evil)
            .input(evil, evil, evil, evil)
            .button(evil, evil, Weight::Main)
            .named_button(evil, evil, evil, Weight::Other);
        let page = Page::new(evil).text(evil).alert(Some(evil)).form(&form).to_html();
        assert!(!page.contains("<script>") && !page.contains("alert('1')"), "{page}");
    }
}
