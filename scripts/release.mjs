// `npm run release -- --key FILE [--out FOLDER]`: packs, lists what is inside, and signs both: weft-VERSION.tgz, weft-VERSION.cdx.json, SHA256SUMS and SHA256SUMS.sig (Ed25519).
import { execFileSync } from 'node:child_process'
import { createHash, createPrivateKey, createPublicKey, sign as signBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')

/** Writes SHA256SUMS of all files in the folder, as `sha256sum -c` reads it, and its signature. keyFile: an Ed25519 key, PEM. Returns the public key, PEM. */
export function sign(folder, keyFile) {
  if ((statSync(keyFile).mode & 0o077) !== 0) throw new Error(`${keyFile} can be read by others; run: chmod 600 ${keyFile}`)
  const key = createPrivateKey(readFileSync(keyFile))
  if (key.asymmetricKeyType !== 'ed25519')
    throw new Error(`${keyFile} is a key of ${key.asymmetricKeyType}; make one with: openssl genpkey -algorithm ed25519`)
  const names = readdirSync(folder)
    .filter(name => !name.startsWith('SHA256SUMS'))
    .sort()
  const sums = names
    .map(
      name =>
        `${createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex')}  ${name}\n`,
    )
    .join('')
  writeFileSync(join(folder, 'SHA256SUMS'), sums)
  writeFileSync(join(folder, 'SHA256SUMS.sig'), signBytes(undefined, Buffer.from(sums), key))
  return createPublicKey(key).export({ type: 'spki', format: 'pem' })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { key: { type: 'string' }, out: { type: 'string', default: 'release' } } })
  if (values.key === undefined) {
    console.error('npm run release -- --key FILE [--out FOLDER]; make a key with: openssl genpkey -algorithm ed25519 -out release.key')
    process.exit(2)
  }
  const { sbom } = await import('./sbom.mjs')
  const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const folder = resolve(values.out)
  mkdirSync(folder, { recursive: true })
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  writeFileSync(join(folder, `${name}-${version}.cdx.json`), `${JSON.stringify(sbom(), undefined, 2)}\n`)
  const pem = sign(folder, resolve(values.key))
  console.log(`${folder} is signed. Publish this key where users find it by another way than the files:\n\n${pem}`)
}
