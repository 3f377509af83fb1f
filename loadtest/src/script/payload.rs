//! Reader of data files: CSV rows that become variables of users.

use std::path::Path;

use serde_json::Value;

use super::{
    compiler::Compiler,
    fields::Fields,
    node::{Node, Yaml},
    plan::{Order, Payload, Rows},
    source::{Parsed, ScriptError},
    yaml::number_of,
};

/// Largest data file, in bytes.
const CSV_BYTES: u64 = 1 << 30;

impl Compiler {
    /// One entry of `config.payload`; `file` replaces its path.
    ///
    /// # Errors
    /// When the file cannot be read or has not the columns that `fields` names.
    pub fn payload(&mut self, node: &Node, file: Option<&Path>) -> Parsed<Payload> {
        let mut fields = Fields::of(node, "payload")?;
        let path = fields.take("path");
        let names = fields.take("fields");
        let order = fields.take("order").map(order).transpose()?.unwrap_or(Order::Random);
        let cast = fields.take("cast").map(Node::boolean).transpose()?.unwrap_or(true);
        let skip_header = fields.take("skipHeader").map(Node::boolean).transpose()?.unwrap_or(false);
        let skip_empty = fields.take("skipEmptyLines").map(Node::boolean).transpose()?.unwrap_or(true);
        let load_all = fields.take("loadAll").map(Node::boolean).transpose()?.unwrap_or(false);
        let name = fields.take("name").map(Node::string).transpose()?;
        let mut reader = csv::ReaderBuilder::new();
        // The first line is counted among the rows here, and skipped below.
        reader.has_headers(false).flexible(true);
        if let Some(delimiter) = fields.take("delimiter") {
            reader.delimiter(byte(delimiter)?);
        }
        if let Some(options) = fields.take("options") {
            self.csv_options(options, &mut reader)?;
        }
        fields.finish(&mut self.notes)?;
        let path_node = path.ok_or_else(|| ScriptError::at(node.at, "`path` is missing in payload"));
        let (shown, at) = match file {
            Some(file) => (file.to_owned(), node.at),
            None => {
                let path_node = path_node?;
                (self.folder.join(path_node.string()?), path_node.at)
            }
        };
        let failed = |error: String| ScriptError::at(at, format!("{}: {error}", shown.display()));
        let text = read(&shown).map_err(failed)?;
        let mut rows = Vec::new();
        for record in reader.from_reader(text.as_bytes()).records() {
            let record = record.map_err(|error| failed(error.to_string()))?;
            if skip_empty && record.iter().all(str::is_empty) {
                continue;
            }
            rows.push(record.iter().map(|cell| value(cell, cast)).collect::<Vec<_>>());
        }
        if skip_header && !rows.is_empty() {
            rows.remove(0);
        }
        if rows.is_empty() {
            return Err(failed("no rows".to_owned()));
        }
        let names: Vec<String> =
            names.into_iter().flat_map(Node::one_or_many).map(Node::string).collect::<Parsed<_>>()?;
        if names.is_empty() {
            return Err(
                ScriptError::at(node.at, "`fields` is missing in payload").help("write the names of the columns")
            );
        }
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        if columns < names.len() {
            let error = ScriptError::at(at, format!("`fields` has {} names, the file {columns} columns", names.len()));
            return Err(error.help("is the `delimiter` right?"));
        }
        if load_all && name.is_none() {
            self.warn(node.at, "`loadAll` does nothing without `name`");
        }
        let data = match name.filter(|_| load_all) {
            Some(name) => {
                self.defined.insert(name.clone());
                Rows::All { name, rows: rows.into_iter().map(|row| as_mapping(&names, row)).collect() }
            }
            None => {
                self.defined.extend(names.iter().cloned());
                Rows::Each { fields: names, rows }
            }
        };
        Ok(Payload { data, order })
    }

    fn csv_options(&mut self, node: &Node, reader: &mut csv::ReaderBuilder) -> Parsed {
        let mut fields = Fields::of(node, "options")?;
        if let Some(delimiter) = fields.take("delimiter") {
            reader.delimiter(byte(delimiter)?);
        }
        if let Some(quote) = fields.take("quote") {
            reader.quote(byte(quote)?);
        }
        if let Some(escape) = fields.take("escape") {
            reader.escape(Some(byte(escape)?));
        }
        if let Some(comment) = fields.take("comment") {
            reader.comment(Some(byte(comment)?));
        }
        if fields.take("trim").map(Node::boolean).transpose()?.unwrap_or(false) {
            reader.trim(csv::Trim::All);
        }
        for name in ["relax_column_count", "relaxColumnCount", "bom"] {
            fields.take(name);
        }
        fields.finish(&mut self.notes)
    }
}

fn read(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > CSV_BYTES {
        return Err(format!("larger than {} MiB", CSV_BYTES >> 20));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn as_mapping(names: &[String], row: Vec<Value>) -> Value {
    Value::Object(names.iter().cloned().zip(row).collect())
}

/// A cell with its type, as csv-parse casts it.
fn value(cell: &str, cast: bool) -> Value {
    let is_number = cell.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && cell.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    match cell {
        "true" if cast => Value::Bool(true),
        "false" if cast => Value::Bool(false),
        _ if cast && is_number => {
            cell.parse().ok().and_then(number_of).map_or_else(|| Value::from(cell), Value::Number)
        }
        _ => Value::from(cell),
    }
}

fn order(node: &Node) -> Parsed<Order> {
    let name = node.string()?;
    match name.as_str() {
        "sequence" => Ok(Order::Sequence),
        "random" => Ok(Order::Random),
        "once" => Ok(Order::Once),
        _ => {
            let error = ScriptError::at(node.at, format!("unknown order `{name}`"));
            Err(error.nearest(&name, ["sequence", "random", "once"]))
        }
    }
}

fn byte(node: &Node) -> Parsed<u8> {
    match node.value {
        Yaml::Text(ref text) if text == "\\t" => Ok(b'\t'),
        Yaml::Text(ref text) if text.len() == 1 => Ok(text.as_bytes()[0]),
        _ => Err(ScriptError::at(node.at, "expected one ASCII character")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_cast_as_csv_parse_does() {
        for (cell, cast) in [
            ("031", json!(31)),
            ("27", json!(27)),
            ("1.5", json!(1.5)),
            ("-2e3", json!(-2000)),
            ("true", json!(true)),
            ("Pa55", json!("Pa55")),
            ("", json!("")),
            ("1-2", json!("1-2")),
            ("/status/200", json!("/status/200")),
        ] {
            assert_eq!(value(cell, true), cast, "{cell}");
            assert_eq!(value(cell, false), json!(cell), "{cell}");
        }
    }
}
