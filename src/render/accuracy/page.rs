//! The summary as one page that needs nothing else.

use super::chart::{chart, escaped};
use super::text;
use crate::accuracy::Summary;
use crate::published::Scored;
use crate::render::table::Table;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}\
table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
td,th{padding:.15rem .7rem;text-align:left;border-bottom:1px solid #8884;vertical-align:top}\
td.r,th.r{text-align:right}.scroll{overflow-x:auto}pre{overflow-x:auto}svg{max-width:100%}";

/// The page.
#[must_use]
pub fn page(summary: &Summary, rows: &[Scored]) -> String {
    let mut body = String::from(
        "<h1>Predicted against published step times</h1>\n<p>Errors in percent of the measured \
         time; &ldquo;naive&rdquo; is half of the peak and the bubble. Every prediction is that of \
         the plan that was run, priced with what the planner prices its own plans with.</p>\n",
    );
    body += &section("By group", &table(&text::groups(summary, true)));
    body += &section("Predicted against measured", &chart(rows));
    if let Some(ranking) = &summary.ranking {
        body += &section("Ranking", &preformatted(&text::ranking(ranking)));
        body += &section("Sweeps, worst regret first", &table(&text::sweeps(summary)));
    }
    body += &section("Memory", &table(&text::memory(summary)));
    if let Some(fits) = &summary.fits {
        body += &section("Fits or not", &preformatted(&text::fits(fits)));
    }
    body += &section("Intervals", &table(&text::regimes(summary)));
    body += &section("Doubts", &table(&text::doubts(summary)));
    body += &section("Worst rows", &table(&text::worst(summary)));
    body += &section("Not scored", &table(&text::counts(&summary.skipped, "why", usize::MAX)));
    body += &section("Assumed", &table(&text::counts(&summary.assumed, "what", usize::MAX)));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Accuracy of Meshwright</title><style>{STYLE}</style></head>\n<body>\n{body}</body>\
         </html>\n"
    )
}

fn section(title: &str, content: &str) -> String {
    format!("<h2>{}</h2>\n<div class=\"scroll\">{content}</div>\n", escaped(title))
}

fn preformatted(text: &str) -> String {
    format!("<pre>{}</pre>", escaped(text.trim_end()))
}

fn table(table: &Table) -> String {
    let class = |right: bool| if right { " class=\"r\"" } else { "" };
    let mut html = String::from("<table><thead><tr>");
    for (name, right) in table.header() {
        html += &format!("<th{}>{}</th>", class(right), escaped(name.trim()));
    }
    html += "</tr></thead><tbody>\n";
    for row in table.cells() {
        html += "<tr>";
        for (cell, (_, right)) in row.iter().zip(table.header()) {
            html += &format!("<td{}>{}</td>", class(right), escaped(cell.trim()));
        }
        html += "</tr>\n";
    }
    html + "</tbody></table>"
}
