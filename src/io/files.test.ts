import assert from 'node:assert/strict'
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  FileError,
  fileMode,
  makeFolder,
  readText,
  readTextIfAny,
  temporaryFolder,
  userCache,
  userConfig,
  userState,
  writeAtomic,
} from './files.ts'

test('a written file holds the whole text, has the mode, and leaves nothing beside it', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'key.pem')
  await writeAtomic(path, 'one', { mode: 0o600 })
  await writeAtomic(path, 'two', { mode: 0o600 })
  assert.equal(await readText(path), 'two')
  assert.equal(await fileMode(path), 0o600)
  assert.deepEqual(await readdir(folder.path), ['key.pem'])
})

test('many writers of one file at once leave one whole text', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'x')
  const texts = Array.from({ length: 20 }, (_, at) => String(at).repeat(10_000))
  await Promise.all(texts.map(text => writeAtomic(path, text)))
  assert.ok(texts.includes(await readText(path)))
  assert.deepEqual(await readdir(folder.path), ['x'])
})

test('a write that cannot be done says where and why, and leaves nothing', async () => {
  await using folder = await temporaryFolder()
  await mkdir(join(folder.path, 'taken'))
  await assert.rejects(
    writeAtomic(join(folder.path, 'taken'), 'x'),
    (error: Error) => error instanceof FileError && /cannot write .*taken: it is a folder/.test(error.message),
  )
  await assert.rejects(writeAtomic(join(folder.path, 'no/such/file'), 'x'), /cannot write .*no\/such\/file: it does not exist/)
  assert.deepEqual(await readdir(folder.path), ['taken'])
})

test('a file that is missing or is a folder is named with the reason', async () => {
  await using folder = await temporaryFolder()
  await assert.rejects(readText(join(folder.path, 'missing')), /cannot read .*missing: it does not exist/)
  await assert.rejects(readText(folder.path), /it is a folder; name a file in it/)
  assert.equal(await readTextIfAny(join(folder.path, 'missing')), undefined)
})

test('a folder is made with all above it, and given its mode when it exists', async () => {
  await using folder = await temporaryFolder()
  const path = join(folder.path, 'a/b')
  await makeFolder(path)
  await makeFolder(path, 0o700)
  assert.equal((await stat(path)).mode & 0o777, 0o700)
  await writeFile(join(folder.path, 'file'), '')
  await assert.rejects(makeFolder(join(folder.path, 'file')), /not a folder/)
})

test('a folder that a file system will not have is refused, not asked for for ever', {
  skip: process.platform === 'linux' ? false : 'there is no /proc',
}, async () => {
  await assert.rejects(
    makeFolder('/proc/nope/deeper'),
    /cannot make the folder \/proc\/nope\/deeper: no folder can be made there; choose another place/,
  )
})

test('a temporary folder goes with what is in it', async () => {
  const folder = await temporaryFolder()
  await writeAtomic(join(folder.path, 'x'), 'x')
  await folder[Symbol.asyncDispose]()
  assert.equal(await fileMode(folder.path), undefined)
})

test('folders of the user follow XDG, and relative settings are ignored', () => {
  assert.equal(userCache({ XDG_CACHE_HOME: '/c' }), '/c/weft')
  assert.equal(userConfig({ XDG_CONFIG_HOME: 'relative' }), join(homedir(), '.config/weft'))
  assert.equal(userState({}), join(homedir(), '.local/state/weft'))
})
