/** The control plane itself: what it is, where it keeps things, how long its certificates last, and commands to go on with. */

import { Progress } from '@mantine/core'
import type { ReactNode } from 'react'
import type { ControlStatus } from '../api/queries.ts'
import { useStatus } from '../api/queries.ts'
import { CertificateLeft } from '../proxies/badges.tsx'
import { Loading, Refused } from '../shared/empty.tsx'
import { left, span } from '../shared/format.ts'
import { Copy } from '../shared/identity.tsx'
import { useNow } from '../shared/now.ts'
import { Facts, Page, Section } from '../shared/page.tsx'
import { TrustSections } from './trust.tsx'
import css from './page.module.css'

/** What is called soon, and how long each kind of certificate lives at most, in days. */
const lives = { root: { soon: 90, most: 3_650 }, intermediate: { soon: 30, most: 365 }, control: { soon: 0.2, most: 1 } } as const
const day = 86_400_000

export function StatusPage(): ReactNode {
  const status = useStatus()
  const now = useNow(1_000)
  if (!status.data) return status.error ? <Refused error={status.error} retry={() => void status.refetch()} /> : <Loading />
  const { version, startedAt, trustDomain, xds, store, certificates, mtls, proxies, trust } = status.data
  return (
    <Page name="Status" title="Status">
      <Facts
        facts={[
          ['Version', version],
          ['Up for', span(now - new Date(startedAt).getTime())],
          ['Store revision', store.revision],
          ['Proxies', proxies.length],
          ['Trust domain', trustDomain],
          ['xDS and certificates', `${xds.host}:${xds.port}`],
        ]}
      />
      <MutualTls {...mtls} />
      <Section title="Proxies by state">
        <States proxies={proxies} />
      </Section>
      <Section title="Certificates of the control plane" testid="certificates">
        <div className={`panel ${css['certificates']}`}>
          {certificates.map(certificate => {
            const { soon, most } = lives[certificate.use] ?? lives.intermediate
            const days = left(certificate.notAfter, now) / day
            return (
              <div key={`${certificate.use} ${certificate.subject}`} className={css['certificate']}>
                <div>
                  <b>{certificate.use}</b>
                  <div className="mono soft">{certificate.subject}</div>
                </div>
                <div>
                  <CertificateLeft notAfter={certificate.notAfter} soonMs={soon * day} />
                  <Progress
                    mt={6}
                    size="xs"
                    value={Math.max(1, Math.min(100, (days / Math.max(most, days)) * 100))}
                    color={days <= 0 ? 'red' : days < soon ? 'orange' : 'teal'}
                    aria-label={`${certificate.use} certificate, part of its life left`}
                  />
                </div>
              </div>
            )
          })}
        </div>
      </Section>
      {trust !== undefined && <TrustSections trust={trust} now={now} />}
      <Section title="Store">
        <div className={`panel ${css['store']}`}>
          <span className="mono">{store.path}</span>
          <Copy value={store.path} what="path" />
        </div>
      </Section>
      <Section title="Commands">
        <Commands />
      </Section>
    </Page>
  )
}

/** Nothing is shown before a workload has a port. */
function MutualTls({ strict, permissive, disabled, plaintext }: ControlStatus['mtls']): ReactNode {
  const all = strict + permissive + disabled
  if (all === 0) return null
  return (
    <Section title="Mutual TLS" testid="mutual-tls">
      <div className={`panel ${css['states']}`} data-strict={strict === all}>
        {strict === all ? (
          <div>
            <b style={{ color: colours.synced }}>strict</b> at all {all} ports: workloads take nothing else
          </div>
        ) : (
          <div>
            <b style={{ color: colours.pending }}>{permissive > 0 ? 'permissive' : 'disabled'}</b> at {permissive + disabled} of {all}{' '}
            ports, which take plaintext; {plaintext === 0 ? 'none was' : `${plaintext} of them were`} called so in the last 10 min. Whether
            it is safe to go strict, and by which document: <code>weft mtls report</code>
          </div>
        )}
      </div>
    </Section>
  )
}

const colours = { synced: 'var(--ok)', pending: 'var(--warn)', rejected: 'var(--bad)', disconnected: 'var(--ink-soft)' } as const

const States = ({ proxies }: { proxies: ControlStatus['proxies'] }): ReactNode => (
  <div className={`panel ${css['states']}`}>
    {(Object.keys(colours) as (keyof typeof colours)[]).map(state => (
      <div key={state}>
        <b style={{ color: colours[state] }}>{proxies.filter(proxy => proxy.state === state).length}</b> {state}
      </div>
    ))}
  </div>
)

function Commands(): ReactNode {
  const here = new URL('./', document.baseURI).href.replace(/\/$/, '')
  const commands: readonly (readonly [string, string])[] = [
    ['Use this control plane in a shell', `export WEFT_CONTROL=${here}`],
    ['Put a process into the mesh', 'weft run --name hello --port 8080 -- python3 -m http.server 8080'],
    ['See what this page shows', 'weft status'],
    ['Apply documents and wait until every proxy has them', 'weft apply -f split.yaml --wait'],
    ['The same API with kubectl', `kubectl --server ${here} get httproutes -A`],
  ]
  return (
    <div className={`panel ${css['commands']}`}>
      {commands.map(([what, command]) => (
        <div key={what}>
          <div className="soft">{what}</div>
          <code>{command}</code>
          <Copy value={command} what="command" />
        </div>
      ))}
    </div>
  )
}
