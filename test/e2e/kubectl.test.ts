/**
 * Unmodified kubectl against the operator API. Whole, because it is one list of what kubectl does.
 * Runs with the kubectl of the PATH; WEFT_TEST_KUBECTLS names others (a list of paths joined by ":"): .ci/run builds a current one (kubectl/) for it.
 */

import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createOperatorApi } from '#control/api'
import { openStore, type Store } from '#control/store'
import { serveHttp, type HttpServing } from '#io/http-server'
import { certify } from '../harness/certify.ts'

const service = `apiVersion: v1
kind: Service
metadata: {name: cart, labels: {app: cart}}
spec:
  selector: {app: cart}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: admin, port: 9000}
`
const route = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: split}
spec:
  parentRefs: [{group: "", kind: Service, name: cart}]
  rules:
  - backendRefs: [{name: cart-v1, port: 80, weight: 90}, {name: cart-v2, port: 80, weight: 10}]
`
const both = `${service}---\n${route}`

type Result = { readonly code: number; readonly out: string; readonly err: string }
const run = promisify(execFile)

/** Its minor version, or undefined when there is none at that path. */
async function minorOf(path: string): Promise<number | undefined> {
  const { stdout } = await run(path, ['version', '--client', '-o', 'json']).catch(() => ({ stdout: '' }))
  const minor = /"minor":\s*"(\d+)/.exec(stdout)?.[1]
  return minor === undefined ? undefined : Number(minor)
}

const paths = (process.env['WEFT_TEST_KUBECTLS'] ?? 'kubectl').split(':')
for (const path of paths) {
  const minor = await minorOf(path)
  describe(`kubectl 1.${minor ?? '?'}`, { skip: minor === undefined ? `there is no working ${path} here` : false }, () =>
    suite(path, minor ?? 0),
  )
}

function suite(path: string, minor: number): void {
  let folder: string
  let store: Store
  let server: HttpServing
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weft-kubectl-'))
    store = openStore({ path: ':memory:' })
    const { handler, refuse } = createOperatorApi({
      store,
      version: '0.1.0',
      admit: resource =>
        resource.metadata.labels?.['forbidden'] === undefined
          ? []
          : [{ path: 'metadata.labels.forbidden', says: 'is not wanted here: remove it' }],
    })
    server = await serveHttp({ host: '127.0.0.1', port: 0, handler, refuse })
  })
  after(async () => {
    await server.close()
    store.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const environment = (): NodeJS.ProcessEnv => ({
    PATH: process.env['PATH'],
    HOME: folder,
    KUBECONFIG: '/dev/null',
    NO_COLOR: '1',
    ...(minor < 23 ? { TERM: 'dumb' } : {}),
  })
  const flags = (): string[] => ['--server', `http://127.0.0.1:${server.port}`]

  /** Whatever it answers. input: what it reads as `-f -`. */
  function attempt(args: readonly string[], input = '', more: NodeJS.ProcessEnv = {}): Promise<Result> {
    return new Promise((resolve, reject) => {
      const child = spawn(path, [...flags(), ...args], { env: { ...environment(), ...more } })
      let [out, err] = ['', '']
      child.stdout.on('data', chunk => (out += chunk))
      child.stderr.on('data', chunk => (err += chunk))
      child.on('error', reject)
      child.on('close', code => resolve({ code: code ?? -1, out, err }))
      child.stdin.on('error', () => {})
      child.stdin.end(input)
    })
  }
  async function kubectl(command: string, input = ''): Promise<string> {
    const { code, out, err } = await attempt(command.split(' '), input)
    assert.equal(code, 0, `kubectl ${command}: ${err}`)
    return out
  }
  async function refused(command: string, input = ''): Promise<string> {
    const { code, err } = await attempt(command.split(' '), input)
    assert.notEqual(code, 0, `kubectl ${command} was to fail`)
    return err
  }
  /** A namespace of its own for a test, so that none sees what another left. */
  async function namespaced(name: string): Promise<string> {
    await kubectl(`create namespace ${name}`)
    return `-n ${name}`
  }
  const object = async (command: string): Promise<{ metadata: Record<string, unknown>; spec: Record<string, unknown>; status?: unknown }> =>
    JSON.parse(await kubectl(`${command} -o json`))

  test('discovery: resources, short names, versions, and that of the server', async () => {
    const resources = await kubectl('api-resources')
    assert.match(resources, /^httproutes +gateway\.networking\.k8s\.io\/v1 +true +HTTPRoute$/m)
    assert.match(resources, /^services +svc +v1 +true +Service$/m)
    assert.match(await kubectl('api-versions'), /^weft\.dev\/v1alpha1$/m)
    const { serverVersion } = JSON.parse(await kubectl('version -o json')) as { serverVersion: { gitVersion: string } }
    assert.equal(serverVersion.gitVersion, 'v1.32.0+weft-0.1.0')
    assert.equal(await kubectl('get --raw /readyz'), 'ok')
    assert.equal(await kubectl('auth can-i create httproutes'), 'yes\n')
    assert.match(await kubectl('auth can-i --list'), /\*\.\*/)
    assert.match(await kubectl('get namespaces'), /^default +Active +\d+s$/m)
  })

  test('get shows tables made by the server, and objects in every form', async () => {
    const n = await namespaced('reading')
    await kubectl(`${n} create -f -`, both)
    assert.match(
      await kubectl(`${n} get svc`),
      /^NAME +TYPE +CLUSTER-IP +PORT\(S\) +AGE\ncart +ClusterIP +<none> +80\/TCP,9000\/TCP +\d+s\n$/,
    )
    assert.match(await kubectl(`${n} get svc -o wide`), /SELECTOR\n.* app=cart\n$/)
    assert.match(await kubectl('get httproutes,svc -A'), /^reading +httproute\.gateway\.networking\.k8s\.io\/split/m)
    assert.match(await kubectl(`${n} get all`), /cart/)
    assert.equal(await kubectl(`${n} get svc cart -o jsonpath={.spec.ports[*].port}`), '80 9000')
    assert.match(await kubectl(`${n} get httproute split -o yaml`), /^apiVersion: gateway\.networking\.k8s\.io\/v1\nkind: HTTPRoute\n/)
    assert.equal(await kubectl(`${n} get svc -l app=cart,app!=old -o name`), 'service/cart\n')
    assert.equal(await kubectl(`${n} get svc -l app=other -o name`), '')
    assert.equal(await kubectl(`${n} get svc --field-selector metadata.name=cart -o name`), 'service/cart\n')
    assert.match(await refused(`${n} get svc --field-selector spec.type=X`), /field label not supported: spec\.type/)
    assert.match(await kubectl(`${n} get svc --sort-by=.metadata.name`), /cart/)
    assert.match(await kubectl(`${n} describe httproute split`), /Weight: +90/)
    assert.match(await kubectl(`${n} describe svc cart`), /TargetPort: +8080\/TCP/)
    assert.match(await refused(`${n} get svc nothing`), /Error from server \(NotFound\): services "nothing" not found/)
    const old = await kubectl(`${n} get httproutes.v1beta1.gateway.networking.k8s.io split -o json`)
    assert.equal((JSON.parse(old) as { apiVersion: string }).apiVersion, 'gateway.networking.k8s.io/v1beta1')
  })

  test('a list is read in pages when the client asks for small ones', async () => {
    const n = await namespaced('pages')
    for (const name of ['a', 'b', 'c', 'd', 'e']) await kubectl(`${n} create service clusterip ${name} --tcp=80:80`)
    assert.equal(await kubectl(`${n} get svc --chunk-size=2 -o name`), ['a', 'b', 'c', 'd', 'e'].map(name => `service/${name}\n`).join(''))
  })

  test('a certificate becomes a Secret, as typed commands send it, and its values are in no table and no description', async () => {
    const n = await namespaced('secrets')
    const [cert, key] = ['crt', 'key'].map(end => join(folder, `tls.${end}`)) as [string, string]
    certify({ key, cert, subject: '/CN=a' })
    await kubectl(`${n} create secret tls own --cert ${cert} --key ${key}`)
    assert.match(await kubectl(`${n} get secrets`), /^NAME +TYPE +DATA +AGE\nown +kubernetes\.io\/tls +2 +\d+s\n$/)
    assert.equal(await kubectl(`${n} get secret own -o jsonpath={.data.tls\\.key}`), readFileSync(key).toString('base64'))
    assert.match(await kubectl(`${n} describe secret own`), /tls\.key: +\d+ bytes/)
  })

  test('client-side apply creates, changes, removes list items that went, and says unchanged', async () => {
    const n = await namespaced('applied')
    assert.equal(await kubectl(`${n} apply -f -`, both), 'service/cart created\nhttproute.gateway.networking.k8s.io/split created\n')
    const { revision } = store
    assert.match(await kubectl(`${n} apply -f -`, both), /^service\/cart unchanged/)
    assert.equal(store.revision, revision, 'nothing changed, so no revision was taken')
    const changed = both
      .replace('targetPort: 8080', 'targetPort: 8081')
      .replace('  - {name: admin, port: 9000}\n', '')
      .replace('weight: 90', 'weight: 50')
    assert.match(
      await kubectl(`${n} apply -f -`, changed),
      /service\/cart configured\nhttproute.gateway.networking.k8s.io\/split configured/,
    )
    const { spec, metadata } = await object(`${n} get svc cart`)
    assert.deepEqual(spec['ports'], [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8081 }])
    assert.equal(metadata['generation'], 2)
  })

  test('server-side apply: fields have owners, a conflict names them, force takes them, what is no longer named goes', async () => {
    const n = await namespaced('owned')
    const as = (manager: string, text: string, more = ''): Promise<Result> =>
      attempt(`${n} apply --server-side --field-manager=${manager}${more} -f -`.split(' '), text)
    assert.equal((await as('alice', service)).out, 'service/cart serverside-applied\n')
    const other = service.replace('targetPort: 8080', 'targetPort: 8081')
    const conflict = await as('bob', other)
    assert.match(conflict.err, /conflict with "alice": \.spec\.ports\[port=80,protocol="TCP"\]\.targetPort/)
    assert.equal((await as('bob', other, ' --force-conflicts')).code, 0)
    const { metadata } = await object(`${n} get svc cart${minor >= 21 ? ' --show-managed-fields' : ''}`)
    const managed = metadata['managedFields'] as {
      manager: string
      operation: string
      fieldsV1: Record<string, Record<string, Record<string, object>>>
    }[]
    const portOf = (manager: string): object =>
      managed.find(entry => entry.manager === manager)!.fieldsV1['f:spec']!['f:ports']!['k:{"port":80,"protocol":"TCP"}']!
    assert.deepEqual(portOf('alice'), { '.': {}, 'f:name': {}, 'f:port': {} })
    assert.deepEqual(portOf('bob'), { '.': {}, 'f:name': {}, 'f:port': {}, 'f:targetPort': {} })
    // Alice drops both ports: 9000 was also Bob's, so it stays until he drops it too.
    const only = service.replace(/ {2}ports:[^]*$/, '')
    assert.equal((await as('alice', only)).code, 0)
    assert.equal(await kubectl(`${n} get svc cart -o jsonpath={.spec.ports[*].port}`), '80 9000')
    assert.equal((await as('bob', other.replace('  - {name: admin, port: 9000}\n', ''))).code, 0)
    assert.equal(await kubectl(`${n} get svc cart -o jsonpath={.spec.ports[*].port}`), '80')
  })

  test('patch in three kinds, label, annotate, replace, edit', async () => {
    const n = await namespaced('patched')
    await kubectl(`${n} create -f -`, both)
    await kubectl(`${n} patch svc cart -p {"spec":{"ports":[{"port":9000,"name":"ops"}]}}`)
    assert.equal(await kubectl(`${n} get svc cart -o jsonpath={.spec.ports[*].name}`), 'http ops')
    await kubectl(`${n} patch httproute split --type=merge -p {"spec":{"hostnames":["a.example"]}}`)
    await kubectl(
      `${n} patch httproute split --type=json -p [{"op":"test","path":"/spec/hostnames/0","value":"a.example"},{"op":"replace","path":"/spec/hostnames/0","value":"b.example"}]`,
    )
    assert.equal(await kubectl(`${n} get httproute split -o jsonpath={.spec.hostnames}`), '["b.example"]')
    assert.match(
      await refused(`${n} patch httproute split --type=strategic -p {"spec":{}}`),
      /strategic merge patch is for core kinds only|not supported/,
    )
    assert.match(
      await refused(`${n} patch svc cart --type=json -p [{"op":"test","path":"/spec/type","value":"X"}]`),
      /the value there is another/,
    )
    await kubectl(`${n} label svc cart tier=web`)
    await kubectl(`${n} annotate svc cart note=hello`)
    assert.equal(await kubectl(`${n} get svc -l tier=web -o jsonpath={.items[0].metadata.annotations.note}`), 'hello')
    await kubectl(`${n} replace -f -`, service.replace('port: 80,', 'port: 81,'))
    assert.equal(await kubectl(`${n} get svc cart -o jsonpath={.spec.ports[0].port}`), '81')
    const edited = await attempt(`${n} edit svc cart`.split(' '), '', { EDITOR: 'sed -i -e s/9000/9001/' })
    assert.match(edited.out, /service\/cart edited/, edited.err)
    assert.equal(await kubectl(`${n} get svc cart -o jsonpath={.spec.ports[1].port}`), '9001')
  })

  test('a replace from a stale version is a conflict', async () => {
    const n = await namespaced('stale')
    await kubectl(`${n} create -f -`, service)
    const seen = await kubectl(`${n} get svc cart -o yaml`)
    await kubectl(`${n} label svc cart a=b`)
    assert.match(
      await refused(`${n} replace -f -`, seen),
      /Error from server \(Conflict\).*the object has been modified; please apply your changes to the latest version and try again/,
    )
  })

  test('diff and dry runs show what would be and change nothing', async () => {
    const n = await namespaced('dry')
    await kubectl(`${n} apply -f -`, both)
    const { revision } = store
    const { code, out } = await attempt(`${n} diff -f -`.split(' '), both.replace('weight: 90', 'weight: 50'))
    assert.equal(code, 1)
    assert.match(out, /^-\s+weight: 90\n\+\s+weight: 50$/m)
    assert.match(await kubectl(`${n} delete svc cart --dry-run=server`), /server dry run/)
    assert.match(await kubectl(`${n} create service clusterip x --tcp=80:80 --dry-run=server`), /server dry run/)
    assert.equal(store.revision, revision)
  })

  test('a mistake is refused with the field and what to do', async () => {
    const n = await namespaced('wrong')
    const unknown = await refused(`${n} apply -f -`, route.replace('rules:', 'rulez:'))
    assert.match(
      unknown,
      minor >= 25 ? /strict decoding error: unknown field "spec\.rulez" \(did you mean "rules"\?\)/ : /unknown field "rulez"/,
    )
    assert.match(
      await refused(`${n} apply -f -`, route.replace('port: 80,', 'port: 99999,')),
      /spec\.rules\[0\]\.backendRefs\[0\]\.port: is too large/,
    )
    assert.match(
      await refused(`${n} apply -f -`, service.replace('app: cart', 'forbidden: yes-it-is')),
      /metadata\.labels\.forbidden: is not wanted here: remove it/,
    )
    assert.match(await refused('-n nowhere create -f -', service), /namespaces "nowhere" not found/)
    assert.match(await refused('delete namespace default'), /Forbidden.*this namespace may not be deleted/)
    await kubectl(`${n} create -f -`, service)
    assert.match(await refused(`${n} create -f -`, service), /\(AlreadyExists\): .*services "cart" already exists/)
    if (minor >= 25) {
      const warned = await attempt(`${n} create --validate=warn -f -`.split(' '), route.replace('rules:', 'typo: 1\n  rules:'))
      assert.deepEqual([warned.code, /Warning: unknown field "spec\.typo"/.test(warned.err)], [0, true], warned.err)
    }
  })

  test('delete: one, by label, all, and a namespace with everything in it', async () => {
    const n = await namespaced('removed')
    await kubectl(`${n} create -f -`, both)
    for (const name of ['a', 'b']) await kubectl(`${n} create service clusterip ${name} --tcp=80:80`)
    assert.match(await kubectl(`${n} delete svc a`), /service "a" deleted/)
    assert.match(await kubectl(`${n} delete svc -l app=b --cascade=${minor >= 20 ? 'foreground' : 'true'}`), /service "b" deleted/)
    assert.match(await kubectl(`${n} delete svc --all`), /service "cart" deleted/)
    await kubectl('delete namespace removed')
    assert.equal(await kubectl('get httproutes -A -o name --field-selector metadata.namespace=removed'), '')
  })

  test('a generated name is completed by the server', async () => {
    const n = await namespaced('generated')
    assert.match(
      await kubectl(`${n} create -f -`, service.replace('name: cart', 'generateName: cart-')),
      /^service\/cart-[a-z0-9]{5} created$/m,
    )
  })

  test('explain reads the schemas', async () => {
    assert.match(await kubectl('explain httproute.spec.rules.backendRefs'), /weight\s+<integer>/)
    assert.match(await kubectl('explain svc.spec'), /ports\s+<\[\]Object>/)
    assert.match(await kubectl('explain mesh --recursive'), /mtls\s+<Object>/)
  })

  test('wait ends when a condition in the status comes true, and when an object goes', async () => {
    const n = await namespaced('waiting')
    await kubectl(`${n} create -f -`, service)
    const ready = kubectl(`${n} wait --for=condition=Ready svc/cart --timeout=20s`)
    const gone = kubectl(`${n} wait --for=delete svc/cart --timeout=20s`)
    const status = {
      conditions: [{ type: 'Ready', status: 'True', reason: 'Tested', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' }],
    }
    const body = JSON.stringify({ status })
    const reply = await fetch(`http://127.0.0.1:${server.port}/api/v1/namespaces/waiting/services/cart/status`, {
      method: 'PATCH',
      body,
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    assert.equal(reply.status, 200)
    assert.match(await ready, /service\/cart condition met/)
    await kubectl(`${n} delete svc cart`)
    await gone
    if (minor >= 24) {
      await kubectl(`${n} create -f -`, service)
      await kubectl(`${n} patch svc cart --subresource=status --type=merge -p ${body}`)
      assert.deepEqual((await object(`${n} get svc cart`)).status, status)
    }
  })

  test('a watch prints what is there, then each change as it happens', async () => {
    const n = await namespaced('watched')
    await kubectl(`${n} create -f -`, service)
    const child = spawn(path, [...flags(), ...`${n} get svc -w --no-headers`.split(' ')], { env: environment() })
    let out = ''
    const reached = (pattern: RegExp): Promise<void> =>
      new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`${pattern} did not come: ${out}`)), 20_000)
        const look = (): void => {
          if (!pattern.test(out)) return
          clearTimeout(late)
          child.stdout.off('data', look)
          resolve()
        }
        child.stdout.on('data', look)
        look()
      })
    child.stdout.on('data', chunk => (out += chunk))
    const ended = new Promise(resolve => child.once('close', resolve))
    try {
      await reached(/^cart .*9000/m)
      await kubectl(`${n} patch svc cart -p {"spec":{"ports":[{"port":9001,"name":"more"}]}}`)
      await reached(/^cart .*9001/m)
      await kubectl(`${n} create service clusterip later --tcp=80:80`)
      await reached(/^later /m)
    } finally {
      child.kill('SIGINT')
      await ended
    }
  })

  test('a list of objects in one file is applied from a folder', async () => {
    const n = await namespaced('folder')
    const inside = mkdtempSync(join(folder, 'manifests-'))
    writeFileSync(join(inside, 'a.yaml'), service)
    writeFileSync(join(inside, 'b.yaml'), route)
    assert.match(await kubectl(`${n} apply -f ${inside}`), /service\/cart created\nhttproute/)
    assert.match(await kubectl(`${n} delete -f ${inside}`), /"split" deleted/)
  })
}
