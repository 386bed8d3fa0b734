//! The imports between source files, which must not form circles.
//!
//! An import of a re-exported name counts as an import of the file that defines it. A re-export
//! itself is no import. `scripts/modules` prints the list.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A path of names: a module or an item.
type Names = Vec<String>;

/// The modules of a crate that are files, and the imports between them.
#[derive(Default)]
struct Crate {
    files: BTreeSet<Names>,
    /// The path of a re-exported name, and the path that it stands for.
    re_exports: BTreeMap<Names, Names>,
    /// The module and the paths that it imports or names.
    imports: Vec<(Names, Names)>,
}

impl Crate {
    /// Reads a crate from its root file, without its tests.
    fn read(root: &Path) -> Self {
        let mut this = Self::default();
        this.read_file(root, &root.with_file_name(""), Vec::new());
        this
    }

    fn read_file(&mut self, file: &Path, children: &Path, module: Names) {
        let text = fs::read_to_string(file).unwrap();
        let code = without_comments(text.split("#[cfg(test)]\nmod tests").next().unwrap());
        let names = child_modules(&code);
        for name in &names {
            let child = children.join(name);
            let path = [&*module, std::slice::from_ref(name)].concat();
            self.read_file(&child.with_extension("rs"), &child, path);
        }
        let (uses, body) = split_uses(&code);
        for (text, is_re_export) in &uses {
            for leaf in leaves(text, &module, &names) {
                match leaf.last() {
                    Some(name) if *is_re_export => {
                        let exported = [&*module, std::slice::from_ref(name)].concat();
                        self.re_exports.insert(exported, leaf);
                    }
                    _ => self.imports.push((module.clone(), leaf)),
                }
            }
        }
        let mut rest = &*body;
        while let Some(start) = path_start(rest, &names) {
            rest = &rest[start..];
            // What stands behind a path in code is no path, but `parse` ends where this one ends.
            let mut found = leaves(rest, &module, &names);
            self.imports
                .extend(found.pop().map(|leaf| (module.clone(), leaf)));
            rest = &rest[rest.find("::").unwrap()..];
        }
        self.files.insert(module);
    }

    /// Returns the file that defines what a path names.
    fn file_of(&self, path: &Names) -> Names {
        let mut path = path.clone();
        // Follows re-exports of re-exports, and stops at a circle of them.
        for _ in 0..10 {
            let prefixes = (1..=path.len()).rev();
            let found = prefixes
                .map(|length| &path[..length])
                .find_map(|prefix| self.re_exports.get(prefix));
            match found {
                Some(target) if *target != path => path.clone_from(target),
                _ => break,
            }
        }
        while !self.files.contains(&path) {
            path.pop();
        }
        path
    }

    /// Returns each file with the files that it imports.
    fn graph(&self) -> BTreeMap<Names, BTreeSet<Names>> {
        let mut graph: BTreeMap<Names, BTreeSet<Names>> = BTreeMap::new();
        for file in &self.files {
            graph.insert(file.clone(), BTreeSet::new());
        }
        for (module, path) in &self.imports {
            let target = self.file_of(path);
            if target != *module {
                graph.entry(module.clone()).or_default().insert(target);
            }
        }
        graph
    }
}

/// Removes comments and the contents of string literals.
fn without_comments(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap();
        for (index, part) in line.split('"').enumerate() {
            if index % 2 == 0 {
                code += part;
            }
        }
        code.push('\n');
    }
    code
}

/// Returns the names of modules that are declared as files of their own.
fn child_modules(code: &str) -> Vec<String> {
    let declared = code.lines().filter_map(|line| {
        let (before, name) = line.trim().strip_suffix(';')?.rsplit_once("mod ")?;
        let is_declaration = before.is_empty() || before.starts_with("pub");
        is_declaration.then(|| name.to_owned())
    });
    declared.collect()
}

/// Returns the trees of all `use` statements, each with whether it is a re-export, and the rest.
fn split_uses(code: &str) -> (Vec<(String, bool)>, String) {
    let (mut uses, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let is_re_export = line.trim_start().starts_with("pub");
        match line.split_once("use ") {
            Some((before, tree)) if before.trim().is_empty() || is_re_export => {
                let mut tree = tree.to_owned();
                while !tree.contains(';') {
                    tree = tree + "\n" + lines.next().unwrap();
                }
                uses.push((tree, is_re_export));
            }
            _ => rest = rest + line + "\n",
        }
    }
    (uses, rest)
}

/// Returns where the code names the first path that begins in this crate or in a child module.
fn path_start(code: &str, children: &[String]) -> Option<usize> {
    let starts = ["crate", "super", "self"].into_iter();
    let starts = starts.chain(children.iter().map(|name| &**name));
    let found = starts.flat_map(|start| {
        let matches = code.match_indices(start).map(|(at, _)| at);
        let is_path = move |at: &usize| {
            let before = code[..*at].chars().next_back();
            code[at + start.len()..].starts_with("::")
                && before.is_none_or(|c| !c.is_alphanumeric() && !"_:$".contains(c))
        };
        matches.filter(is_path)
    });
    found.min()
}

/// Returns the paths that a tree of paths names, if it begins in this crate.
fn leaves(tree: &str, module: &Names, children: &[String]) -> Vec<Names> {
    let Some((root, rest)) = tree.split_once("::") else {
        return Vec::new();
    };
    let base = match root {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => module[..module.len() - 1].to_vec(),
        child if children.iter().any(|name| name == child) => {
            [&**module, &[child.to_owned()]].concat()
        }
        _ => return Vec::new(),
    };
    let mut leaves = Vec::new();
    parse(rest, base, &mut leaves);
    leaves
}

/// Parses a tree of paths behind `::`, adds its leaves, and returns what follows.
fn parse<'code>(code: &'code str, mut path: Names, leaves: &mut Vec<Names>) -> &'code str {
    let code = code.trim_start();
    if let Some(mut rest) = code.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches([',', ' ', '\n']);
            if let Some(rest) = rest.strip_prefix('}') {
                return rest;
            }
            let before = rest.len();
            rest = parse(rest, path.clone(), leaves);
            assert!(rest.len() < before, "cannot parse: {rest:.40}");
        }
    }
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_');
    let (name, rest) = code.split_at(end.unwrap_or(code.len()));
    match name {
        "self" | "" => {}
        "super" => drop(path.pop()),
        _ => path.push(name.to_owned()),
    }
    if let Some(rest) = rest.strip_prefix("::") {
        return parse(rest, path, leaves);
    }
    leaves.push(path);
    match rest.strip_prefix(" as ") {
        Some(renamed) => renamed.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
        None => rest.strip_prefix('*').unwrap_or(rest),
    }
}

fn shown(module: &Names) -> String {
    match module.is_empty() {
        true => "crate".to_owned(),
        false => module.join("::"),
    }
}

/// Returns a circle of imports, if there is one.
fn circle(graph: &BTreeMap<Names, BTreeSet<Names>>) -> Option<Vec<String>> {
    fn visit<'graph>(
        graph: &'graph BTreeMap<Names, BTreeSet<Names>>,
        module: &'graph Names,
        trail: &mut Vec<&'graph Names>,
        done: &mut BTreeSet<&'graph Names>,
    ) -> bool {
        if let Some(start) = trail.iter().position(|earlier| *earlier == module) {
            trail.drain(..start);
            trail.push(module);
            return true;
        }
        trail.push(module);
        if !done.contains(module) {
            for target in &graph[module] {
                if visit(graph, target, trail, done) {
                    return true;
                }
            }
        }
        done.insert(module);
        trail.pop();
        false
    }
    let mut done = BTreeSet::new();
    for module in graph.keys() {
        let mut trail = Vec::new();
        if visit(graph, module, &mut trail, &mut done) {
            return Some(trail.into_iter().map(shown).collect());
        }
    }
    None
}

#[test]
fn no_source_files_import_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for source in ["src/lib.rs", "crates/picture/src/lib.rs"] {
        let graph = Crate::read(&root.join(source)).graph();
        println!("# {source}");
        for (module, imports) in &graph {
            let imports: Vec<_> = imports.iter().map(shown).collect();
            println!("{}: {}", shown(module), imports.join(", "));
        }
        assert!(graph.len() > 10, "{source} has not been read");
        assert_eq!(circle(&graph), None, "in {source}");
    }
}
