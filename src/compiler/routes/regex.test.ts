import assert from 'node:assert/strict'
import { test } from 'node:test'
import { whyNotRegex } from './regex.ts'

test('ordinary expressions are admitted', () => {
  for (const pattern of [
    '',
    '/items/[0-9]+',
    '/v[12]/.*',
    '(api|web)/x+',
    '(foo|bar)*',
    'a{2,5}b?',
    '\\d+\\.\\d+',
    '(?:ab)+',
    '(?<id>[a-z]+)',
    '[(a+)+]',
    '\\(a+\\)+',
    '(ab){3}',
    '\\p{L}+',
    '\\p{L}{1,3}(?:-[0-9]+)?',
    '[0-9a-f]{64}/.*/.*',
    '.*.*.*x',
  ])
    assert.equal(whyNotRegex(pattern), undefined, pattern)
})

test('what could take exponential time or the square of the length, or what RE2 does not have, is refused with the reason', () => {
  for (const [pattern, reason] of [
    ['(a+)+', /repeats a group/],
    ['(a*)*b', /repeats a group/],
    ['((a+))+', /repeats a group/],
    ['(a?b?)*', /repeats a group/],
    ['(x+x+)+y', /repeats a group/],
    ['(a{1,3}){2,}', /repeats a group/],
    ['(a|ab)*', /begin alike/],
    ['(.|a)+', /begin alike/],
    ['(a|)+', /begin alike/],
    ['((a|ab))*', /begin alike/],
    ['(a)\\1', /backreference/],
    ['(?<n>a)\\k<n>', /backreference/],
    ['(?=a)b', /lookaround/],
    ['(?<!a)b', /lookaround/],
    ['(?i:a)', /modifier/],
    ['(', /not a valid/],
    ['a)(b', /not a valid/],
    ['[a', /not a valid/],
    ['a'.repeat(1025), /longer than 1024/],
    ['a{1001}', /more than 1000 times/],
    ['(?:a{100}){21}', /more than 1000 times, groups in groups multiplied/],
    ['(?:(?:[a-z]x{30}){5}){9}', /more than 1000 times, groups in groups multiplied/],
    ['\\u0041', /uses \\u, which RE2 does not have/],
    ['\\u{1f600}', /uses \\u, which RE2 does not have/],
    ['\\cA', /uses \\c, which RE2 does not have/],
    ['[\\b]', /\\b in a class/],
    ['a[^]', /empty class/],
    ['[]', /empty class/],
    ['\\p{Script=Greek}', /uses \\p\{Script=Greek\}/],
    ['[\\P{Letter}]', /uses \\P\{Letter\}/],
    ['a{900}b{900}c{900}', /longer than 2000 steps/],
    ['\\p{L}+-\\p{L}+', /repeats several things beside \\p/],
    ['\u{1f600}.*.*', /repeats several things beside/],
  ] as const)
    assert.match(whyNotRegex(pattern) ?? '', reason, pattern)
})

test('of a rewrite a group that is remembered and repeated often must stand alone', () => {
  assert.match(whyNotRegex('(.*)(a){20}(.*)x', true) ?? '', /repeats several things beside .*more than 16 times/)
  for (const pattern of ['(.*)(?:a){20}(.*)x', '(.*)(a{20})(.*)x', '(a){20}.*', '(ab){16}(.*)(.*)'])
    assert.equal(whyNotRegex(pattern, true), undefined, pattern)
  assert.equal(whyNotRegex('(.*)(a){20}(.*)x'), undefined)
})
