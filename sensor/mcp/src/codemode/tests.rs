//! A table of programs, and what must hold of any.

use proptest::collection::vec;
use proptest::prelude::*;

use super::lex::Lexer;
use super::token::Kind;
use super::{
    CodeMode, MAX_PROGRAM, MAX_TOOLS, PROGRAM_MEMBERS, code_mode, fuzz_codemode, inner_tools, looks_like_program,
    shows_two_tools,
};

/// The tools of a program, `+` behind them where there may be others.
fn seen(source: &str) -> String {
    let program = inner_tools(source);
    program.tools.join(" ") + if program.incomplete { "+" } else { "" }
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<_> =
        cases.iter().filter(|(source, want)| seen(source) != *want).map(|(s, want)| (s, want, seen(s))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_tool_is_named_in_any_spelling() {
    check(&[
        ("", ""),
        ("codemode.a()", "a"),
        ("await codemode.a({ x: 1 }); await codemode.b()", "a b"),
        ("codemode.b(); codemode.a(); codemode.b()", "b a"),
        ("codemode?.a()", "a"),
        ("codemode?.a?.()", "a"),
        ("codemode . a ( )", "a"),
        ("codemode\n  // why\n  .a()", "a"),
        ("codemode/* . */./* x */a()", "a"),
        ("codemode['a']()", "a"),
        ("codemode[\"a-b c\"]()", "a-b c"),
        ("codemode[`a`]()", "a"),
        ("codemode?.['a']()", "a"),
        ("codemode['\\x61\\u0062\\u{63}\\144']()", "abcd"),
        ("codemode['a\\\nb']()", "ab"),
        ("code\\u006dode.a()", "a"),
        ("code\\u{6d}ode.\\u0061()", "a"),
        ("codemode.\\u{61}b()", "ab"),
        ("globalThis.codemode.a()", "a"),
        ("globalThis?.codemode?.a()", "a"),
        ("globalThis['codemode'].a()", "a"),
        ("self[`codemode`]['a']()", "a"),
        ("this.codemode.a(); window.codemode.b(); self.codemode.c()", "a b c"),
        ("globalThis.self.codemode.a()", "a"),
        ("(codemode).a(); ((codemode)).b()", "a b"),
        ("(codemode as any).a()", "a"),
        ("codemode!.a()", "a"),
        ("const f = codemode.a; f()", "a"),
        ("list.map(codemode.a)", "a"),
        ("codemode.a.call(null, 1)", "a"),
        ("`${codemode.a()}`", "a"),
        ("`x ${`y ${codemode.a()} z`} ${{ b: codemode.b() }.b}`", "a b"),
        ("tag`${codemode.a()}`", "a"),
        ("codemode.été(); codemode['名']()", "été 名"),
        ("async()=>{const r=await codemode.a({q:\"x\"});return r.map(x=>x/2)}", "a"),
        ("async () => { for await (const x of codemode.a()) yield_(x) }", "a"),
        ("({ run: async () => codemode.a(), codemode: 1, b() { return codemode.b() } })", "a b"),
        ("class T { codemode = 1; x = codemode.a(); async run() { return codemode.b() } }", "a b"),
        ("const run = async (x: string, y?: number): Promise<void> => { await codemode.a<T>(x) }", "a"),
        ("if (codemode) codemode.a(); if (typeof codemode !== 'undefined' && !codemode == false) {}", "a"),
        ("'a' in codemode && codemode.a()", "a"),
        ("#!/usr/bin/env node\ncodemode.a()", "a"),
        ("\u{feff}codemode.a()\r\ncodemode.b()\u{2028}codemode.c()", "a b c"),
        ("// codemode.x()\u{2028}codemode.a()", "a"),
        ("```js\nasync () => { await codemode.a() }\n```", "a"),
        ("```\ncodemode.a()\n```\n", "a"),
    ]);
}

#[test]
fn what_is_no_code_names_nothing() {
    check(&[
        ("// codemode.x()", ""),
        ("/* codemode.x() \n codemode.y() */ codemode.a()", "a"),
        ("'codemode.x()'; \"codemode.x()\"; `codemode.x()`", ""),
        ("'\\'codemode.x()'; codemode.a()", "a"),
        ("`\\${codemode.x()}` + `$` + `\\`codemode.x()`", ""),
        ("/codemode.x()/.test(s)", ""),
        ("s.match(/[/'\"`]codemode.x()/g); codemode.a()", "a"),
        ("a = b / codemode.a() / 2", "a"),
        ("a = (b) / codemode.a() / 2", "a"),
        ("a = b[1] / codemode.a() / 2", "a"),
        ("x++ / codemode.a() / 2", "a"),
        ("({}) / codemode.a() / 2", "a"),
        ("x = {} / codemode.a() / 2", "a"),
        ("x = function () {} / codemode.a() / 2", "a"),
        ("if (b) /codemode.x()/.test(s)", ""),
        ("{} /codemode.x()/.test(s)", ""),
        ("function f() {} /codemode.x()/.test(s)", ""),
        ("return /codemode.x()/g", ""),
        ("typeof /codemode.x()/g", ""),
        ("x.return / codemode.a() / 1", "a"),
        ("x.if(y) / codemode.a() / 1", "a"),
        ("`${{}}` / codemode.a() / 1", "a"),
        ("`${a}/codemode.x()/`", ""),
        ("x.codemode.y()", ""),
        ("env.codemode.y(); this.env.codemode.y()", ""),
        ("mycodemode.x(); codemode2.x(); $codemode.x(); CodeMode.x()", ""),
        ("const o = { codemode: 1, 'codemode.x': 2 }", ""),
        ("class A { #codemode; codemode() {} static codemode = 2 }", ""),
        ("label: for (;;) break label", ""),
    ]);
}

#[test]
fn another_name_for_the_object_is_followed() {
    check(&[
        ("const cm = codemode; cm.a()", "a"),
        ("let cm = codemode\ncm.a()", "a"),
        ("var x = 1, cm = codemode, y = 2; cm.a()", "a"),
        ("let cm; cm = codemode; cm.a()", "a"),
        ("const a = codemode; const b = a; b.x()", "x"),
        ("a = b = codemode; a.x(); b.y()", "x y"),
        ("function f() { return cm.a() } const cm = codemode; f()", "a"),
        ("const cm: any = codemode; cm.a()", "a"),
        ("const cm = codemode as any; cm.a()", "a"),
        ("const cm = globalThis.codemode; cm['a']()", "a"),
        ("const { a, b: c } = codemode; a(); c()", "a b"),
        ("const { a = 1, b: { c }, 'd e': f, ['g']: h, } = codemode", "a b d e g"),
        ("({ a, b } = codemode);", "a b"),
        ("let x = 1, { a } = codemode", "a"),
        ("const { a } = codemode, { b } = codemode", "a b"),
        ("async ({ codemode }) => { await codemode.a() }", "a"),
        ("async (codemode) => codemode.a()", "a"),
        ("async codemode => codemode.a()", "a"),
        ("function f(codemode, x) { codemode.a() }", "a"),
        ("(cm = codemode) => cm.a()", "a"),
        ("({ a } = codemode) => a()", "a"),
        ("const { codemode } = env; codemode.a()", "a"),
    ]);
}

#[test]
fn what_cannot_be_followed_marks_the_program() {
    check(&[
        ("codemode[x]()", "+"),
        ("codemode['to' + 'ol']()", "+"),
        ("codemode[`a${b}`]()", "+"),
        ("codemode[0]", "+"),
        ("codemode['\\u{110000}']()", "+"),
        ("const { a, ...rest } = codemode", "a+"),
        ("const { [x]: y } = codemode", "+"),
        ("const [a] = codemode", "+"),
        ("f(codemode)", "+"),
        ("f(1, codemode, 2)", "+"),
        ("a ? f(codemode) : b => c", "+"),
        ("f<T>(codemode).x()", "+"),
        ("return codemode", "+"),
        ("() => codemode", "+"),
        ("[codemode][0].x()", "+"),
        ("({ codemode })", "+"),
        ("({ x: codemode }).x.a()", "+"),
        ("({ ...codemode }).a()", "+"),
        ("f(...codemode)", "+"),
        ("o.cm = codemode; o.cm.a()", "+"),
        ("(cm = codemode).a()", "+"),
        ("f(cm = codemode)", "+"),
        ("return cm = codemode", "+"),
        ("(0, codemode).a()", "+"),
        ("(x || codemode).a()", "+"),
        ("(x ? codemode : y).a()", "+"),
        ("(await codemode).a()", "+"),
        ("const cm = x ?? codemode", "+"),
        ("const cm = codemode ?? x", "+"),
        ("codemode`x`", "+"),
        ("codemode()", "+"),
        ("codemode.valueOf().a()", "+"),
        ("codemode.constructor", "+"),
        ("Object.keys(codemode)", "+"),
        ("new Proxy(codemode, {})", "+"),
        ("with (codemode) { a() }", "+"),
        ("for (const x of [codemode]) x.a()", "+"),
        ("globalThis[x].a()", "+"),
        ("globalThis['code' + 'mode'].a()", "+"),
        ("self[k]()", "+"),
        ("const g = globalThis; g.codemode.a()", "+"),
        ("const { codemode: cm } = globalThis; cm.a()", "+"),
        ("Reflect.get(this, 'codemode')", "+"),
        ("eval('codemode.x()')", "+"),
        ("(0, eval)('x')", "+"),
        ("globalThis.eval('x'); globalThis['Function']", "+"),
        ("new Function('codemode.x()')()", "+"),
        ("(() => {}).constructor('codemode.x()')()", "+"),
        ("f['constructor']('x')()", "+"),
        ("const { constructor: F } = f", "+"),
        ("setTimeout('codemode.x()', 0)", "+"),
        ("await import('data:text/javascript,codemode.x()')", "+"),
        ("await import(x)", "+"),
        ("import x from 'https://example.com/x.js'", "+"),
        ("codemode.a(); <!-- codemode.x()", "a+"),
        ("codemode.a()\n--> codemode.x()", "a+"),
        ("await /x/ / codemode.a() / 1", "a+"),
        ("codemode.a(); 'open", "a+"),
        ("codemode.a(); `open ${", "a+"),
        ("codemode.a(); /* open", "a+"),
        ("codemode.a(); /open", "a+"),
        ("codemode.a(); )", "a+"),
        ("codemode.a(", "a+"),
        ("code\\u006", "+"),
        ("```js\ncodemode.a()", "a+"),
        ("```js\ncodemode.a()\n```\n```\nx\n```", "a+"),
        ("a1=codemode;a2=a1;b();a9=a8;a8=a7;a7=a6;a6=a5;a5=a4;a4=a3;a3=a2;a9.x()", "+"),
    ]);
}

#[test]
fn what_is_innocent_is_not_marked() {
    check(&[
        ("import { z } from 'zod'; import y from \"./y.js\"; await import('node:fs'); import.meta.url", ""),
        ("setTimeout(() => codemode.a(), 10); new Foo().bar[i](x); a instanceof Function", "a"),
        ("class A extends B { constructor() { super(); this.x = 1; this.y() } }", ""),
        ("const eval_ = 1; x.eval(); o = { eval: 1, Function: 2 }; x.Function", ""),
        ("const self = 1; typeof globalThis; globalThis.fetch('x'); ['constructor'].length", ""),
        ("const words = 'code' + 'mode'; x[words]()", ""),
    ]);
}

#[test]
fn limits_hold_and_are_told() {
    let many: Vec<String> = (0..=MAX_TOOLS).map(|n| format!("codemode.t{n}();")).collect();
    let program = inner_tools(&many.concat());
    assert!(program.tools.len() == MAX_TOOLS && program.incomplete);
    assert_eq!(seen(&format!("codemode.{}()", "x".repeat(300))), "+");
    assert_eq!(seen(&format!("codemode.a();{}", " ".repeat(MAX_PROGRAM))), "a+");
    assert_eq!(seen(&format!("codemode.a();{}", "0,".repeat(40_000))), "a+");
    assert_eq!(seen(&format!("codemode.a();{}", "(".repeat(2000))), "a+");
    assert_eq!(seen(&format!("codemode.a();{}{}", "[".repeat(1000), "]".repeat(1000))), "a");
    let names: Vec<String> = (0..20).map(|n| format!("const n{n} = codemode;")).collect();
    assert_eq!(seen(&names.concat()), "+");
}

#[test]
fn a_program_is_known_by_its_tool_or_by_the_query() {
    for (tool, query, want) in [
        ("portal_codemode_search", None, CodeMode::Yes),
        ("portal_codemode_execute", None, CodeMode::Yes),
        ("code", None, CodeMode::Yes),
        ("execute", None, CodeMode::Perhaps),
        ("search", Some("codemode=search_and_execute"), CodeMode::Yes),
        ("execute", Some("a=b&codemode=search_and_execute&c"), CodeMode::Yes),
        ("execute", Some("code%6Dode=search%5fand_execute"), CodeMode::Yes),
        ("execute", Some("optimize_context=search_and_execute"), CodeMode::Yes),
        ("execute", Some("codemode=off"), CodeMode::Perhaps),
        ("execute", Some("xcodemode=search_and_execute"), CodeMode::Perhaps),
        ("execute", Some("codemode=search_and_execute%2"), CodeMode::Perhaps),
        ("read_file", Some("codemode=search_and_execute"), CodeMode::No),
        ("Code", None, CodeMode::No),
    ] {
        let target = query.map_or_else(|| "/mcp".to_owned(), |query| format!("/mcp?{query}#codemode=x"));
        assert_eq!(code_mode(tool, shows_two_tools(&target)), want, "{tool} {query:?}");
    }
    assert!(PROGRAM_MEMBERS.contains(&"code"));
    assert!(looks_like_program("async () => { return await codemode.a() }"));
    assert!(looks_like_program("return codemode.a()"));
    assert!(!looks_like_program("tickets about billing"));
    assert!(!looks_like_program("SELECT * FROM users"));
}

/// The tokens of a source as text.
fn cut(source: &str) -> Option<Vec<(Kind, &str)>> {
    let mut lexer = Lexer::new(source);
    let mut out = Vec::new();
    while let Some(token) = lexer.next().ok()? {
        out.push((token.kind, source.get(token.start as usize..token.end as usize)?));
    }
    Some(out)
}

/// Programs that read the same whatever stands between their tokens.
const PROGRAMS: [&str; 8] = [
    "const { a , b : c } = codemode ; let cm = codemode ; cm . d ( ) ; codemode [ 'e' ] ( )",
    "async ( x ) => { if ( x ) /codemode.x()/ . test ( x ) ; return ( codemode ) . a ( x / 2 ) / codemode . b ( ) }",
    "x = { codemode : 1 , f ( ) { return codemode ?. a ( ) } } / codemode . b ( ) / 2 ;",
    "class A extends B { x = codemode . a ( ) ; static y ( ) { } } /codemode.x()/ . test ( 'codemode.x()' ) ;",
    "label : { codemode . a ( `codemode.x()` ) } f ( codemode ) ; o . codemode . z ( )",
    "switch ( x ) { case 1 : /codemode.x()/ ; default : { codemode . a ( ) } } globalThis . codemode . b ( ) ;",
    "f ( function ( ) { } / codemode . a ( ) / 1 , { } / codemode . b ( ) / 1 ) ;",
    "const g = globalThis [ 'codemode' ] ; g . a ( ) ; eval ( 'x' ) ;",
];

fn between() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        " ",
        "  ",
        "\t",
        "\u{a0}",
        "\u{feff}",
        "/* codemode.x() */",
        " /**/ ",
        "/* ' \" ` */",
        "/* // */",
        "\u{3000}",
    ])
}

proptest! {
    #[test]
    fn what_stands_between_the_tokens_changes_nothing(
        which in 0..PROGRAMS.len(),
        fill in vec(between(), 80),
    ) {
        let plain = PROGRAMS[which];
        let mut fill = fill.iter().cycle();
        let mut filled = String::new();
        for (n, word) in plain.split(' ').enumerate() {
            if n > 0 {
                filled.push(' ');
                filled.push_str(fill.next().unwrap());
            }
            filled.push_str(word);
        }
        prop_assert_eq!(inner_tools(&filled), inner_tools(plain), "{}", filled);
        prop_assert_eq!(cut(&filled), cut(plain));
    }

    #[test]
    fn any_bytes_are_read_within_the_limits(data in vec(any::<u8>(), 0..2000)) {
        fuzz_codemode(&data);
    }

    #[test]
    fn any_mix_of_tokens_is_read_within_the_limits(
        words in vec(prop::sample::select(vec![
            "codemode", ".", "a", "(", ")", "[", "]", "{", "}", "=", ",", ";", "=>", "`", "${", "'", "/", "*/", "/*",
            "\n", "const", "let", "function", "class", "...", ":", "?", "?.", "as", "\\u0061", "0", "globalThis", "!",
        ]), 0..200),
        gap in prop::sample::select(vec!["", " "]),
    ) {
        fuzz_codemode(words.join(gap).as_bytes());
    }
}
