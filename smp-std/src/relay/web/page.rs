//! The information page: who runs the relay, on what terms, and how reliably.

use super::facts::Facts;
use super::html::{escape, link, qr_code};
use super::uptime::{Day, Uptime, date};
use crate::relay::config::{HostingType, Information};

const DAY: i64 = 86_400;

/// A whole page. `head` goes into the head as it is.
pub(super) fn document(title: &str, head: &str, body: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/style.css">
{head}</head>
<body>
{body}</body>
</html>
"#,
        title = escape(title),
    )
}

/// The page at `/`.
pub(super) fn information_page(facts: &Facts, uptime: &Uptime, now: i64) -> String {
    let information = &facts.information;
    let operator = match &information.operator {
        Some(operator) => format!(" It is operated by {}.", escape(operator)),
        None => String::new(),
    };
    let body = format!(
        r#"<header>
<p class="kind">SimpleX message relay</p>
<h1>{host}</h1>
<p class="lead">This relay passes on messages between people. It has no user accounts and cannot read what they write.{operator}</p>
</header>
<main>
{address}{availability}{policies}{operator_section}{contacts}{software}</main>
<footer>
<p>All of this for programs: <a href="/information.json">information.json</a></p>
</footer>
"#,
        host = escape(&facts.host),
        address = address_section(facts),
        availability = availability_section(uptime, now),
        policies = section("Policies", &policies(facts)),
        operator_section = section("Operator and hosting", &operator_and_hosting(information)),
        contacts = section("Contact", &contacts(information)),
        software = section("Software", &software(facts)),
    );
    document(&format!("{} – SimpleX message relay", facts.host), "", &body)
}

/// Terms with their descriptions, which are HTML already.
type Terms = Vec<(&'static str, String)>;

fn section(title: &str, terms: &Terms) -> String {
    if terms.is_empty() {
        return String::new();
    }
    let list: String = terms.iter().map(|(term, about)| format!("<dt>{term}</dt>\n<dd>{about}</dd>\n")).collect();
    format!("<section>\n<h2>{title}</h2>\n<dl>\n{list}</dl>\n</section>\n")
}

fn address_section(facts: &Facts) -> String {
    let code = qr_code(&facts.address, "QR code of the relay's address").unwrap_or_default();
    let password = if facts.password_needed {
        "<p class=\"note\">Creating queues here needs a password, which the operator gives out.</p>\n"
    } else {
        ""
    };
    format!(
        r#"<section class="address">
{code}
<div>
<h2>Address</h2>
<p>To receive messages through this relay, add its address in your app: scan the code, or copy the text.</p>
<p><code>{address}</code></p>
{password}</div>
</section>
"#,
        address = escape(&facts.address),
    )
}

fn availability_section(uptime: &Uptime, now: i64) -> String {
    let days = uptime.days(now);
    let known = days.iter().filter(|day| day.share.is_some()).count();
    let total = percent(uptime.total(now));
    let span = match known {
        0 | 1 => "today".to_owned(),
        known => format!("over the last {known} days"),
    };
    let bars: String = days.iter().enumerate().map(|(index, day)| bar(index, day)).collect();
    let width = days.len().saturating_mul(6).saturating_sub(2);
    let first = days.first().map(|day| date(day.number)).unwrap_or_default();
    let since = uptime.since().map(|since| date(since.div_euclid(DAY))).unwrap_or_default();
    format!(
        r#"<section>
<h2>Availability</h2>
<p>{total} {span}. Running without a break since {since}.</p>
<svg class="days" role="img" aria-label="The relay was available {total} of the time {span}." viewBox="0 0 {width} 36" preserveAspectRatio="none">{bars}</svg>
<p class="ends"><span>{first}</span><span>today (UTC)</span></p>
</section>
"#
    )
}

fn bar(index: usize, day: &Day) -> String {
    let (class, words) = match day.share {
        None => ("none", "not known".to_owned()),
        Some(share) => {
            let class = if share >= 0.999 {
                "good"
            } else if share >= 0.95 {
                "part"
            } else {
                "down"
            };
            (class, percent(share))
        }
    };
    let (x, date) = (index.saturating_mul(6), date(day.number));
    format!(r#"<rect class="{class}" x="{x}" width="4" height="36" rx="1"><title>{date}: {words}</title></rect>"#)
}

/// Rounded down: what was not quite all is not shown as 100 %.
fn percent(share: f64) -> String {
    let hundredths = (share.clamp(0.0, 1.0) * 10_000.0).floor();
    let text = format!("{:.2}", hundredths / 100.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

fn policies(facts: &Facts) -> Terms {
    let new_queues = match (facts.new_queues, facts.password_needed) {
        (false, _) => "None are created at present",
        (true, true) => "For those who have the password",
        (true, false) => "For everybody",
    };
    let kept = match facts.message_days {
        0 => "Until they are received".to_owned(),
        1 => "For 1 day, or until they are received".to_owned(),
        days => format!("For {days} days, or until they are received"),
    };
    let storage = if facts.on_disk { "On disk, in the encrypted form in which they arrive" } else { "In memory only" };
    let statistics = if facts.statistics { "Totals of the whole relay are recorded" } else { "Not recorded" };
    let mut terms = vec![
        ("New queues", new_queues.to_owned()),
        ("Messages are kept", kept),
        ("Messages in a queue", format!("Up to {}", facts.message_quota)),
        ("Queues and messages", storage.to_owned()),
        ("Statistics", statistics.to_owned()),
    ];
    let information = &facts.information;
    if let Some(conditions) = &information.usage_conditions {
        terms.push(("Conditions of use", link(conditions, conditions)));
    }
    if let Some(amendments) = &information.condition_amendments {
        terms.push(("Amendments", link(amendments, amendments)));
    }
    terms
}

fn operator_and_hosting(information: &Information) -> Terms {
    let mut terms = Terms::new();
    if let Some(operator) = &information.operator {
        terms.push(("Operator", with_country(operator, information.operator_country.as_deref())));
    }
    if let Some(website) = &information.website {
        terms.push(("Web site", link(website, website)));
    }
    if let Some(hosting) = &information.hosting {
        terms.push(("Hosting provider", with_country(hosting, information.hosting_country.as_deref())));
    }
    if let Some(kind) = information.hosting_type {
        let words = match kind {
            HostingType::Virtual => "Virtual machine",
            HostingType::Dedicated => "Dedicated machine",
            HostingType::Colocation => "The operator's machine in a data centre",
            HostingType::Owned => "The operator's own machine and place",
        };
        terms.push(("Machine", words.to_owned()));
    }
    if let Some(country) = &information.server_country {
        terms.push(("Country of the relay", escape(&country.to_ascii_uppercase())));
    }
    terms
}

fn with_country(name: &str, country: Option<&str>) -> String {
    match country {
        Some(country) => format!("{} ({})", escape(name), escape(&country.to_ascii_uppercase())),
        None => escape(name),
    }
}

fn contacts(information: &Information) -> Terms {
    let mut terms = Terms::new();
    let groups = [
        (
            ["Administrators", "Administrators' mail", "Administrators' PGP key"],
            [&information.admin_simplex, &information.admin_email, &information.admin_pgp],
            &information.admin_pgp_fingerprint,
        ),
        (
            ["Complaints", "Mail for complaints", "PGP key for complaints"],
            [&information.complaints_simplex, &information.complaints_email, &information.complaints_pgp],
            &information.complaints_pgp_fingerprint,
        ),
    ];
    for ([simplex_term, mail_term, pgp_term], [simplex, mail, pgp], fingerprint) in groups {
        if let Some(address) = simplex {
            terms.push((simplex_term, link(address, "Chat in a SimpleX app")));
        }
        if let Some(mail) = mail {
            terms.push((mail_term, link(&format!("mailto:{mail}"), mail)));
        }
        if let Some(key) = pgp {
            let fingerprint = fingerprint.as_deref().map(escape).unwrap_or_default();
            terms.push((pgp_term, format!("{}<br><small>{fingerprint}</small>", link(key, key))));
        }
    }
    terms
}

fn software(facts: &Facts) -> Terms {
    let mut terms = vec![
        ("Program", format!("{} {}", escape(facts.program), escape(facts.version))),
        ("SMP versions", format!("{} to {}", facts.protocol.0, facts.protocol.1)),
    ];
    if let Some(source) = &facts.information.source_code {
        terms.push(("Source code", link(source, source)));
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_down() {
        for (share, text) in
            [(1.0, "100 %"), (0.99999, "99.99 %"), (0.5, "50 %"), (0.9005, "90.05 %"), (0.0, "0 %"), (0.999, "99.9 %")]
        {
            assert_eq!(percent(share), text);
        }
    }
}
