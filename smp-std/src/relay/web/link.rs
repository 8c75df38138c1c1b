//! The pages of links, and those of errors.

use super::html::escape;
use super::page::document;

/// The kinds of link that have a page (wire reference, sections 13.1 and 13.2), with what the page says they are.
const KINDS: [(&str, &str, &str); 7] = [
    ("contact", "Contact address", "Somebody gave you this link so that you can write to them."),
    ("invitation", "Invitation", "Somebody invites you to a conversation. The link works once."),
    ("a", "Contact address", "Somebody gave you this link so that you can write to them."),
    ("c", "Channel", "This link leads to a channel."),
    ("g", "Group", "This link leads to a group."),
    ("r", "Chat relay", "This link leads to a chat relay."),
    ("i", "Invitation", "Somebody invites you to a conversation. The link works once."),
];

/// The page for a path, with or without a slash at its end, if it is one of a link.
pub(super) fn link_page(path: &str) -> Option<String> {
    let name = path.strip_prefix('/')?;
    let name = name.strip_suffix('/').unwrap_or(name);
    let (_, kind, about) = KINDS.iter().find(|(path, ..)| *path == name)?;
    let body = format!(
        r##"<header>
<p class="kind">SimpleX link</p>
<h1>{kind}</h1>
<p class="lead">{about} It opens in an app for the SimpleX network.</p>
</header>
<main>
<noscript><section>
<h2>Without scripts</h2>
<p>Copy the whole address of this page and paste it into your app. Making a button and a code of it needs JavaScript: the part of the address that matters never leaves your browser.</p>
</section></noscript>
<section id="missing" hidden>
<h2>This is not a whole link</h2>
<p>The part behind <b>#</b> is missing. Ask the person who sent it to copy all of it.</p>
</section>
<div id="link" hidden>
<section>
<h2>On this device</h2>
<p>Open the link in the app you have, or copy it and paste it there.</p>
<p class="buttons"><a class="button" id="open" href="#">Open in the app</a> <button class="button second" id="copy" type="button">Copy the link</button></p>
<p class="note" id="copied" role="status"></p>
<p class="text" id="text"></p>
</section>
<section id="scan">
<h2>With another device</h2>
<p>Scan this code in the app.</p>
<div id="code"></div>
</section>
</div>
<section>
<h2>No app yet?</h2>
<p>Install one, such as <a href="https://simplex.chat/downloads/" rel="noopener noreferrer">SimpleX Chat</a>, then come back to this page.</p>
</section>
</main>
<footer>
<p>The relay that shows this page does not learn the link: browsers keep what stands behind # to themselves.</p>
<p><a href="/">About this relay</a></p>
</footer>
"##
    );
    let head = "<meta name=\"robots\" content=\"noindex\">\n<script src=\"/qr.js\" defer></script>\n<script src=\"/link.js\" defer></script>\n";
    Some(document(&format!("{kind} – SimpleX link"), head, &body))
}

/// A page that says what went wrong.
pub(super) fn error_page(title: &str, words: &str) -> String {
    let body = format!(
        r#"<header>
<p class="kind">SimpleX message relay</p>
<h1>{title}</h1>
<p class="lead">{words}</p>
</header>
<main>
<p><a href="/">About this relay</a></p>
</main>
"#,
        title = escape(title),
        words = escape(words),
    );
    document(title, "", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_page() {
        for path in ["/contact", "/invitation", "/a", "/c", "/g", "/r", "/i", "/a/"] {
            assert!(link_page(path).unwrap().contains("/link.js"), "{path}");
        }
        for path in ["/", "", "/x", "/a/b", "/A", "//a", "/contact//"] {
            assert!(link_page(path).is_none(), "{path}");
        }
    }
}
