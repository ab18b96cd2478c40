import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { defaultIdTemplate } from '#base/id-template'
import { temporaryFolder } from '#io/files'
import { openIdTemplate } from './id-template.ts'

const short = '/{namespace}/{serviceAccount}'

test('a template is said when the mesh is made, and kept', async () => {
  await using folder = await temporaryFolder()
  assert.equal(await openIdTemplate(folder.path, undefined), defaultIdTemplate)
  assert.equal(await openIdTemplate(folder.path, short), short, 'nobody has a certificate yet')
  await writeFile(`${folder.path}/tokens.pem`, 'made')
  assert.equal(await readFile(`${folder.path}/spiffe-id-template`, 'utf8'), `${short}\n`)
  assert.equal(await openIdTemplate(folder.path, undefined), short)
  assert.equal(await openIdTemplate(folder.path, short), short)
})

test('a mesh that is there cannot get another, and one of before templates has the default', async () => {
  await using folder = await temporaryFolder()
  await writeFile(`${folder.path}/root.pem`, 'made')
  assert.equal(await openIdTemplate(folder.path, undefined), defaultIdTemplate)
  assert.equal(await openIdTemplate(folder.path, defaultIdTemplate), defaultIdTemplate)
  await assert.rejects(
    openIdTemplate(folder.path, short),
    /have the form \/ns\/\{namespace\}\/sa\/\{serviceAccount\} since it was made, and cannot get .*: certificates, policies/,
  )
})

test('what is no template is refused, as a flag and as a file', async () => {
  await using folder = await temporaryFolder()
  await assert.rejects(
    openIdTemplate(folder.path, '/{namespace}'),
    /cannot be the template of SPIFFE ids: it needs \{serviceAccount\} once/,
  )
  await writeFile(`${folder.path}/spiffe-id-template`, '{namespace}')
  await assert.rejects(
    openIdTemplate(folder.path, undefined),
    /cannot use .*spiffe-id-template: .*begin with a slash; restore it from a backup/,
  )
})
