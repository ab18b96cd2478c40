/** `weft policy test`: what is expected of documents, without a mesh; by the same code that the proxies and `weft explain request` use. */

import { BadInput, type Place } from '#base/note'
import { FileError, readText } from '#io/files'
import { type Expectation, type PolicyTest, readPolicyTest } from '#resources/policy-test'
import { readAll, refuseAll } from '../documents.ts'
import { matchFiles } from '../documents/glob.ts'
import { badUsage, exit, Stopped } from '../exit.ts'
import { asCall, readQuestion } from '../explain/question.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'
import { printTable } from '../table.ts'
import { count } from '../words.ts'
import { workloadsWithout } from '../world/inventory.ts'
import type { Outcome } from '../world/outcome.ts'
import { World } from '../world/world.ts'
import { junitOf, type Tested } from '../policy/junit.ts'

type Flags = {
  readonly file?: readonly string[]
  readonly recursive?: boolean
  readonly output?: 'table' | 'json' | 'yaml' | 'junit'
  readonly namespace?: string
}

/** Fails when something is not as expected. */
export async function policyTest(session: Session, files: readonly string[], flags: Flags): Promise<number> {
  if (files.length === 0) throw badUsage(['name at least one file of expectations'])
  const results: Tested[] = []
  for (const file of files) results.push(...(await testFile(session, file, flags)))
  const failed = results.filter(({ wrong }) => wrong !== undefined)
  const { say } = session
  if (flags.output === 'json' || flags.output === 'yaml') await printAs(say, flags.output, { ok: failed.length === 0, results })
  else if (flags.output === 'junit') say.raw(junitOf(results))
  else {
    printTable(
      say,
      [
        { name: '', style: cell => (cell === '✓' ? 'green' : 'red') },
        { name: 'expectation' },
        { name: 'then' },
        { name: 'by' },
        { name: 'why' },
      ],
      results.map(({ name, got, wrong }) => [wrong === undefined ? '✓' : '✗', name, got?.verdict ?? '', got?.by ?? '', got?.says ?? '']),
    )
    if (failed.length > 0) say.out('')
    for (const { at, name, wrong } of failed) say.out(`${say.paint('red', '✗')} ${at}: ${name}: ${wrong}`)
    say.out(`${count(results.length, 'expectation')}, ${failed.length === 0 ? 'all met' : `${failed.length} not met`}`)
  }
  return failed.length === 0 ? exit.ok : exit.failed
}

async function testFile(session: Session, file: string, flags: Flags): Promise<readonly Tested[]> {
  const { cwd } = session.edge
  const { test, placeOf } = await readTest(session, file)
  const namespace = flags.namespace ?? test.namespace ?? 'default'
  const folder = file.includes('/') ? file.replace(/\/[^/]*$/, '') || '/' : '.'
  const listed = await Promise.all((test.documents ?? []).map(pattern => matchFiles(cwd, folder, pattern)))
  const paths = [...listed.flat(), ...(flags.file ?? [])]
  if (paths.length === 0) throw badUsage([`${file}: which documents? List them in its field documents, or name them with -f`])
  const { resources } = await readAll(session, { file: paths, recursive: flags.recursive ?? false }, namespace)
  const placed = resources.map(each =>
    each.metadata.namespace === undefined && !['Namespace', 'Mesh', 'GatewayClass'].includes(each.kind)
      ? { ...each, metadata: { ...each.metadata, namespace } }
      : each,
  )
  const { trustDomain = 'weft.local', spiffeIDTemplate: idTemplate } = test
  const workloads = workloadsWithout(placed, test.workloads ?? [], trustDomain, namespace, idTemplate)
  const world = new World(placed, { trustDomain, idTemplate, workloads, now: session.now() })
  for (const refusal of world.refusals) session.say.err(`weft: ${file}: ${refusal}`)
  return test.expect.map((expected, at) => tested(world, expected, namespace, placeOf(at)))
}

async function readTest(session: Session, file: string): Promise<{ readonly test: PolicyTest; readonly placeOf: (at: number) => Place }> {
  try {
    return readPolicyTest(await readText(file.startsWith('/') ? file : `${session.edge.cwd}/${file}`), file)
  } catch (thrown) {
    if (thrown instanceof BadInput) throw refuseAll(session, thrown.problems, 'nothing was tested')
    if (thrown instanceof FileError) throw new Stopped(thrown.message)
    throw thrown
  }
}

function tested(world: World, expected: Expectation, namespace: string, place: Place): Tested {
  const { from, to, request = 'GET /' } = expected
  const so = { name: expected.name ?? `${from} → ${to} ${request}`, at: `${place.file}:${place.line}`, expected }
  const caller = world.callerOf(from, namespace)
  if (caller === undefined)
    return { ...so, wrong: `nobody named "${from}" runs in ${namespace}: add a Workload or an entry of workloads, or give a SPIFFE id` }
  let got: Outcome
  try {
    const headers = Object.entries(expected.headers ?? {}).map(([name, value]) => `${name}: ${value}`)
    const { address, at } = expected
    const words = expected.request === undefined ? [] : request.split(' ')
    const { question, isPlain } = readQuestion({ to, words, headers, address, at })
    const first = world.ask(question, caller)
    // As `weft explain request` has it: a port of gRPC is asked by gRPC.
    got = isPlain && first.isGrpc === true ? world.ask(asCall(question), caller) : first
  } catch (thrown) {
    if (thrown instanceof Stopped) return { ...so, wrong: thrown.message }
    throw thrown
  }
  const wrong = differs(expected, got, namespace)
  return { ...so, got, ...(wrong === undefined ? {} : { wrong }) }
}

function differs({ then, by, route, backend }: Expectation, got: Outcome, namespace: string): string | undefined {
  if (got.verdict !== then) return `expected ${then}, got ${got.verdict}: ${got.says}`
  if (by !== undefined && !isBy(by, got.by)) return `expected by ${by}, got ${got.by ?? 'no policy'}: ${got.says}`
  if (route !== undefined && !isRoute(route, got.route)) return `expected route ${route}, got ${got.route ?? 'none'}`
  const wanted = backend === undefined || backend.includes('.') ? backend : `${backend}.${namespace}`
  if (wanted !== undefined && !got.backends.includes(wanted)) return `expected backend ${wanted}, got ${got.backends.join(', ') || 'none'}`
  return undefined
}

/** got: `NAMESPACE/NAME/RULE`. */
function isBy(wanted: string, got: string | undefined): boolean {
  const [space = '', name = '', rule = ''] = got?.split('/') ?? []
  return got !== undefined && [name, `${name}/${rule}`, `${space}/${name}`, `${space}/${name}/${rule}`].includes(wanted)
}

/** got: `KIND NAMESPACE/NAME rule N`. */
function isRoute(wanted: string, got: string | undefined): boolean {
  const found = /^(?<kind>\S+) (?<space>[^/\s]+)\/(?<name>\S+)(?: rule (?<rule>\d+))?/.exec(got ?? '')?.groups
  if (found === undefined) return false
  const { kind, space, name, rule } = found
  const names = [name!, `${space}/${name}`, `${kind}/${space}/${name}`]
  return names.some(each => wanted === each || wanted === `${each}/${rule}`)
}
