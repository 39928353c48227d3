//! Pages that need nothing but themselves: no request, no script, light and dark, on a phone, on
//! paper.

mod report;

pub use report::{Shown, report};

use super::table::Table;
use crate::figures::{colours, escaped};

/// What pages look like, besides their figures.
const STYLE: &str = "\
*{box-sizing:border-box}\
body{font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Liberation Sans\",Arial,\
sans-serif;\
max-width:48rem;margin:0 auto;padding:1.5rem 1rem 3rem;background:var(--sheet);color:var(--ink);\
overflow-wrap:anywhere}\
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .25rem}\
h2{font-size:1.1rem;margin:2.2rem 0 .6rem;padding-top:.7rem;border-top:1px solid var(--rule)}\
p{margin:.4rem 0}ul{margin:.4rem 0;padding-left:1.2rem}li{margin:.25rem 0}\
a{color:var(--link)}.dim{color:var(--dim)}small{font-size:.85em}\
table{border-collapse:collapse;font-variant-numeric:tabular-nums;\
font-size:.9rem}\
td,th{overflow-wrap:normal;padding:.2rem .9rem .2rem 0;text-align:left;\
border-bottom:1px solid var(--rule);\
vertical-align:top}\
td:first-child{min-width:7.5rem}\
code{white-space:nowrap}pre code,pre{white-space:pre}\
th{white-space:nowrap;font-weight:600;color:var(--dim)}td.r,th.r{text-align:right;\
white-space:nowrap}\
.scroll{overflow-x:auto}\
pre{overflow-x:auto;background:var(--card);padding:.7rem .9rem;border-radius:6px;margin:.5rem 0}\
code,pre{font:13px/1.5 ui-monospace,\"SF Mono\",Menlo,Consolas,\"Liberation Mono\",monospace}\
pre.wrap{white-space:pre-wrap}\
svg{display:block;width:100%;height:auto;margin:.6rem 0}\
svg.narrow{display:none}\
@media(max-width:36rem){body{padding:1rem .8rem 2rem}svg.wide{display:none}\
svg.narrow{display:block}}";

/// A whole page; `style` is added to the sheet of all pages.
#[must_use]
pub fn frame(title: &str, style: &str, body: &str) -> String {
    // Whatever a name in it says, nothing is loaded and nothing runs.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{}</title>\n<style>\n{}\n{STYLE}\n{style}</style></head>\n<body>\n{body}</body>\
         </html>\n",
        escaped(title),
        colours::page(),
    )
}

/// A part of a page under its title.
#[must_use]
pub fn section(id: &str, title: &str, content: &str) -> String {
    let title = escaped(title);
    format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{content}\n</section>\n")
}

/// A table; it scrolls by itself where it is wider than the page.
#[must_use]
pub fn table(table: &Table) -> String {
    let class = |right: bool| if right { " class=\"r\"" } else { "" };
    let mut html = String::from("<div class=\"scroll\"><table><thead><tr>");
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
    html + "</tbody></table></div>"
}

/// Text as it stands.
#[must_use]
pub fn preformatted(text: &str) -> String {
    format!("<pre>{}</pre>", escaped(text.trim_end()))
}

/// Data inside a page: no text in it can end its element.
#[must_use]
pub fn data(id: &str, json: &str) -> String {
    let json = json.replace('<', "\\u003c");
    format!("<script type=\"application/json\" id=\"{id}\">{json}</script>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::table::Align;

    #[test]
    fn names_cannot_break_out() {
        let hostile = "</script><script>alert(1)</script>";
        let embedded = data("report", &serde_json::json!({"name": hostile}).to_string());
        assert_eq!(embedded.matches("</script>").count(), 1, "{embedded}");
        let inside = embedded.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</script>"));
        let read: serde_json::Value = serde_json::from_str(inside.unwrap().0).unwrap();
        assert_eq!(read["name"], hostile);
        let mut cells = Table::new(&[("<b>", Align::Left)]);
        cells.row(["<i>".to_string()]);
        let html = table(&cells);
        assert!(html.contains("<th>&lt;b&gt;</th>") && html.contains("<td>&lt;i&gt;</td>"));
        assert!(frame(hostile, "", "").contains("<title>&lt;/script&gt;"));
    }

    #[test]
    fn a_page_asks_for_nothing() {
        let html = frame("A page", "", &section("a", "Title", "text"));
        assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("url("));
        assert!(html.contains("default-src 'none'"));
    }
}
