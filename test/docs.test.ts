/** The written word is true where a machine can tell: links lead somewhere, claims have a test, codes and commands are explained. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import process from 'node:process'
import { test } from 'node:test'
import { failures } from '../src/base/failure.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const written = globSync('docs/**/*.md', { cwd: root }).sort()
const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...written]
const linksIn = (text: string): string[] =>
  [...text.replaceAll(/^```[^]*?^```/gm, '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
const withoutAnchor = (target: string): string => target.split('#')[0]!

test('links to files of the repository lead to files', () => {
  const dead = pages.flatMap(page =>
    linksIn(read(page))
      .filter(target => !/^[a-z]+:|^#/.test(target) && !existsSync(join(root, dirname(page), withoutAnchor(target))))
      .map(target => `${page}: ${target}`),
  )
  assert.deepEqual(dead, [])
})

test('links into pages lead to headings', () => {
  // As GitHub makes anchors of headings.
  const anchorsOf = (text: string): string[] =>
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    )
  const dead = pages.flatMap(page =>
    linksIn(read(page))
      .filter(target => /^[^:]*#/.test(target) && withoutAnchor(target).replace(/^$/, page).endsWith('.md'))
      .filter(target => {
        const [file = '', anchor = ''] = target.split('#')
        const path = file === '' ? page : relative(root, join(root, dirname(page), file))
        return !anchorsOf(read(path)).includes(anchor)
      })
      .map(target => `${page}: ${target}`),
  )
  assert.deepEqual(dead, [])
})

test('every failure code is explained', () => {
  const reference = read('docs/reference/failures.md')
  assert.deepEqual(
    Object.keys(failures).filter(code => !reference.includes(`| \`${code}\` |`)),
    [],
  )
})

type Row = { readonly name: string; readonly claim: string; readonly proof: string }

/** The rows of the table under "What works, and the proof", without its headings in bold. */
function claims(): readonly Row[] {
  const [, section = ''] = read('README.md').split('## What works, and the proof')
  const [table = ''] = section.split('\n## ')
  return [...table.matchAll(/^\| ([^|]+?) \| ([^|]*?) \|(.*)\|$/gm)]
    .map(([, name = '', claim = '', proof = '']) => ({ name, claim, proof }))
    .filter(({ name }) => name !== 'Feature' && !name.startsWith('**'))
}

test('every feature says yes, partly or not yet', () => {
  assert.ok(claims().length > 50, 'the table has lost its rows')
  assert.deepEqual(
    claims().filter(({ claim }) => !['*yes*', '*partly*', '*not yet*'].includes(claim)),
    [],
  )
})

test('a feature that is there, or partly, names an existing test', () => {
  const unproved = claims()
    .filter(({ claim }) => claim !== '*not yet*')
    .filter(({ proof }) => !linksIn(proof).some(target => target.endsWith('.test.ts') && existsSync(join(root, target))))
  assert.deepEqual(unproved, [])
})

test('every command is mentioned', () => {
  const help = execFileSync(process.execPath, [join(root, 'src/bin/weft.ts'), '--help'], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  })
  const commands = [...help.matchAll(/^ {2}([a-z]+)(?: \[| <| {2,})/gm)].map(([, name = '']) => name).filter(name => name !== 'help')
  assert.ok(commands.length >= 14, help)
  const text = pages.map(read).join('\n')
  assert.deepEqual(
    commands.filter(name => !new RegExp(`\\bweft ${name}\\b`).test(text)),
    [],
  )
})
