//! Reader of HTTP requests.

use hyper::Method;

use super::{
    compiler::{Compiler, pattern},
    fields::Fields,
    node::{Node, Yaml},
    plan::{Body, Expectation, ExpectationKind, FormPart, PartContent, Request},
    source::{Parsed, ScriptError},
    template::Template,
};

/// Largest file that a form sends, in bytes.
const FORM_FILE: u64 = 64 << 20;

impl Compiler {
    /// A step like `get: {url: …}`.
    ///
    /// # Errors
    /// When something in it is wrong.
    pub fn request(&mut self, method: &str, node: &Node) -> Parsed<Request> {
        let what = method.to_lowercase();
        let mut fields = Fields::of(node, &what)?;
        for name in ["beforeRequest", "afterResponse"] {
            fields.refuse(name, "functions in JavaScript are not run")?;
        }
        fields.refuse("think", "begin a step of its own with `- think:`")?;
        fields.refuse("timeout", "a timeout is for all requests: `config.http.timeout`")?;
        let (url, uri) = (fields.take("url"), fields.take("uri"));
        let url_node = url.or(uri).ok_or_else(|| {
            ScriptError::at(node.at, format!("`url` is missing in {what}")).help("write `url: \"/path\"`")
        })?;
        let url_text = url_node.string()?;
        let url = self.text(&url_text, url_node.at)?;
        self.check_host(&url_text, url_node)?;
        let name_node = fields.take("name");
        let name = name_node.map(Node::string).transpose()?;
        let own = fields.take("headers").map(|node| self.headers(node)).transpose()?.unwrap_or_default();
        let auth = fields.take("auth").map(|node| self.auth(node)).transpose()?;
        let cookies = fields.take("cookie").map(|node| self.texts(node)).transpose()?.unwrap_or_default();
        let body = self.body(&mut fields)?;
        let probability = fields.take("probability").map(percent).transpose()?;
        let (capture, matching) = (fields.take("capture"), fields.take("match"));
        let expectations = fields.take("expect").map(|node| self.expectations(node)).transpose()?.unwrap_or_default();
        let request = Request {
            method: Method::from_bytes(method.as_bytes())
                .map_err(|error| ScriptError::at(node.at, error.to_string()))?,
            endpoint: self.endpoint(&url_text, name.as_deref()),
            url,
            name: name_node.map(|node| self.template(node)).transpose()?,
            headers: merge(&self.default_headers, own),
            query: fields.take("qs").map(|node| self.values(node)).transpose()?.unwrap_or_default(),
            cookies: merge(&self.default_cookies, cookies),
            body,
            auth,
            gzip: fields.take("gzip").map(Node::boolean).transpose()?.unwrap_or(true),
            follow: fields.take("followRedirect").map(Node::boolean).transpose()?.unwrap_or(true),
            probability,
            condition: fields.take("ifTrue").map(|node| self.condition(node)).transpose()?,
            answer: self.answer(capture, matching)?,
            expectations,
        };
        fields.finish(&mut self.notes)?;
        Ok(request)
    }

    /// A URL whose host is known must be this machine's, unless others are allowed.
    fn check_host(&self, url: &str, node: &Node) -> Parsed {
        let known = url.split('/').take(3).all(|part| !part.contains("{{"));
        let Some(url) = url::Url::parse(url).ok().filter(|_| known && self.only_loopback) else { return Ok(()) };
        if url.host().as_ref().is_some_and(super::load::is_loopback) {
            return Ok(());
        }
        let error = ScriptError::at(node.at, "the URL is not on this machine");
        Err(error.help("load is sent to other machines only with --allow-remote"))
    }

    /// Name in `metrics-by-endpoint`; `None` if it is made of the rendered URL.
    fn endpoint(&self, url: &str, name: Option<&str>) -> Option<String> {
        match name {
            Some(name) if self.endpoints.only_names => Some(name.to_owned()),
            _ if !self.endpoints.group => None,
            name => Some(endpoint_name(url, name, self.endpoints.strip_query, &self.target)),
        }
    }

    fn auth(&mut self, node: &Node) -> Parsed<(Template, Template)> {
        let mut fields = Fields::of(node, "auth")?;
        let user = fields.take("user").or_else(|| fields.take("username"));
        let pass = fields.take("pass").or_else(|| fields.take("password"));
        fields.finish(&mut self.notes)?;
        let user = user.ok_or_else(|| ScriptError::at(node.at, "`user` is missing in auth"))?;
        let pass = pass.map(|node| self.template(node)).transpose()?.unwrap_or(Template::Text(String::new()));
        Ok((self.template(user)?, pass))
    }

    fn body(&mut self, fields: &mut Fields<'_>) -> Parsed<Body> {
        fields.take("setContentLengthHeader");
        let json = fields.take("json");
        let body = fields.take("body");
        let form = fields.take("form");
        let parts = fields.take("formData");
        Ok(match (json, body, form, parts) {
            (Some(json), _, _, _) => Body::Json(self.json(json)?),
            (_, Some(body), _, _) => Body::Text(self.template(body)?),
            (_, _, Some(form), _) => Body::Form(self.values(form)?),
            (_, _, _, Some(parts)) => Body::Multipart(
                parts.entries()?.iter().map(|(key, value)| self.part(&key.text, value)).collect::<Parsed<_>>()?,
            ),
            _ => Body::Empty,
        })
    }

    fn part(&mut self, name: &str, node: &Node) -> Parsed<FormPart> {
        let name = name.to_owned();
        if !matches!(node.value, Yaml::Map(_)) {
            return Ok(FormPart { name, content: PartContent::Text(self.json(node)?), content_type: None });
        }
        let mut fields = Fields::of(node, "formData")?;
        let content_type = fields.take("contentType").map(Node::string).transpose()?;
        let content = match (fields.take("fromFile"), fields.take("value")) {
            (Some(file), None) => self.file(file)?,
            (None, Some(value)) => PartContent::Text(self.json(value)?),
            _ => return Err(ScriptError::at(node.at, "a part has `fromFile` or `value`")),
        };
        fields.finish(&mut self.notes)?;
        Ok(FormPart { name, content, content_type })
    }

    fn file(&mut self, node: &Node) -> Parsed<PartContent> {
        let path = self.folder.join(node.string()?);
        let failed = |error: std::io::Error| ScriptError::at(node.at, format!("{}: {error}", path.display()));
        if std::fs::metadata(&path).map_err(failed)?.len() > FORM_FILE {
            return Err(ScriptError::at(node.at, format!("the file is larger than {} MiB", FORM_FILE >> 20)));
        }
        let bytes = std::fs::read(&path).map_err(failed)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(PartContent::File { name, bytes: bytes.into() })
    }

    fn expectations(&mut self, node: &Node) -> Parsed<Vec<Expectation>> {
        if !self.expects {
            self.warn(node.at, "`expect` does nothing without `plugins: { expect: {} }`");
        }
        let mut expectations = Vec::new();
        for item in node.one_or_many() {
            for (key, value) in item.entries()? {
                if ["cdnHit", "jmespath", "jpath"].contains(&key.text.as_str()) {
                    return Err(ScriptError::at(key.at, format!("the check `{}` is not supported", key.text))
                        .help("use `capture` with `json`, and `equals`"));
                }
                let kind = ExpectationKind::ALL.into_iter().find(|kind| kind.name() == key.text);
                let kind = kind.ok_or_else(|| {
                    ScriptError::at(key.at, format!("unknown check `{}` in expect", key.text))
                        .nearest(&key.text, ExpectationKind::ALL.map(ExpectationKind::name))
                })?;
                check_shape(kind, value)?;
                expectations.push(Expectation { kind, value: self.json(value)? });
            }
        }
        Ok(expectations)
    }
}

/// Name of an endpoint: its path as written, after the host and port where they are not the target's, and the request's
/// own name in parentheses.
#[must_use]
pub fn endpoint_name(url: &str, name: Option<&str>, strip_query: bool, target: &str) -> String {
    let (place, path) = match url.split_once("://") {
        Some((_, rest)) => {
            let slash = rest.find('/').unwrap_or(rest.len());
            (place_of(&rest[..slash], target), if slash == rest.len() { "/" } else { &rest[slash..] })
        }
        None => (String::new(), url),
    };
    let path = if strip_query { path.split('?').next().unwrap_or(path) } else { path };
    name.map_or_else(|| format!("{place}{path}"), |name| format!("{place}{path} ({name})"))
}

fn place_of(authority: &str, target: &str) -> String {
    let split = |authority: &str| match authority.rsplit_once(':') {
        Some((host, port)) => (host.to_owned(), format!(":{port}")),
        None => (authority.to_owned(), String::new()),
    };
    let of_target = target.split("://").nth(1).unwrap_or(target).split('/').next().unwrap_or_default();
    let ((host, port), (target_host, target_port)) = (split(authority), split(of_target));
    let host = if host == target_host { String::new() } else { host };
    host + if port == target_port { "" } else { &port }
}

fn check_shape(kind: ExpectationKind, value: &Node) -> Parsed {
    let lists = matches!(kind, ExpectationKind::Equals | ExpectationKind::HeaderEquals);
    if lists {
        let items = value.list()?.len();
        if items < 2 || (kind == ExpectationKind::HeaderEquals && items != 2) {
            return Err(ScriptError::at(
                value.at,
                format!("`{}` compares two values: write a list of two", kind.name()),
            ));
        }
    }
    if kind == ExpectationKind::MatchesRegexp {
        pattern(&value.string()?, "").map_err(|error| ScriptError::at(value.at, error))?;
    }
    Ok(())
}

fn percent(node: &Node) -> Parsed<f64> {
    let percent = node.number()?;
    if !(0.0..=100.0).contains(&percent) {
        return Err(ScriptError::at(node.at, "a probability is a number from 0 to 100"));
    }
    Ok(percent)
}

/// Defaults, and what the request says itself.
fn merge(defaults: &[(String, Template)], own: Vec<(String, Template)>) -> Vec<(String, Template)> {
    let kept = defaults.iter().filter(|(name, _)| own.iter().all(|(other, _)| other != name));
    kept.cloned().chain(own.iter().cloned()).collect()
}
