/** Who is not believed any more, how old the revocation lists are, and which other trust domains are believed for how long. */

import type { ReactNode } from 'react'
import type { ControlStatus } from '../api/queries.ts'
import { CertificateLeft } from '../proxies/badges.tsx'
import { left, span } from '../shared/format.ts'
import { Section } from '../shared/page.tsx'
import css from './page.module.css'

type Trust = NonNullable<ControlStatus['trust']>
const monthMs = 30 * 86_400_000
const hourMs = 3_600_000

/** Nothing of it is shown in a mesh that has none of it. */
export function TrustSections({ trust, now }: { readonly trust: Trust; readonly now: number }): ReactNode {
  const named = trust.lists.filter(({ entries, nextUpdate }) => entries > 0 || isOver(nextUpdate, now))
  return (
    <>
      {(trust.revocations.length > 0 || named.length > 0) && (
        <Section title="Revoked" testid="revocations">
          <div className={`panel ${css['certificates']}`}>
            {trust.revocations.map(revocation => (
              <div key={revocation.name} className={css['certificate']}>
                <div>
                  <b>{revocation.name}</b> <span className="soft">{revocation.reason}</span>
                  {revocation.revokes.map(each => (
                    <div key={each} className="mono soft">
                      {each}
                    </div>
                  ))}
                </div>
                <div className="soft">{revocation.until === undefined ? 'until it is taken back' : `until ${revocation.until}`}</div>
              </div>
            ))}
            {named.map(list => (
              <div key={`${list.issuer} ${list.number}`} className={css['certificate']}>
                <div>
                  <b>revocation list</b>{' '}
                  <span className="soft">{list.entries === 1 ? '1 certificate' : `${list.entries} certificates`}</span>
                  <div className="mono soft">{list.issuer}</div>
                </div>
                <div>
                  <div className="soft">signed {span(now - Date.parse(list.thisUpdate))} ago</div>
                  {list.nextUpdate !== undefined && <CertificateLeft notAfter={list.nextUpdate} soonMs={hourMs} />}
                </div>
              </div>
            ))}
          </div>
        </Section>
      )}
      {trust.domains.length > 0 && (
        <Section title="Other trust domains" testid="trust-domains">
          <div className={`panel ${css['certificates']}`}>
            {trust.domains.map(domain => (
              <div key={domain.name} className={css['certificate']}>
                <div>
                  <b>{domain.trustDomain}</b> {domain.sequence !== undefined && <span className="soft">bundle {domain.sequence}</span>}
                  {domain.roots.map(root => (
                    <div key={root.sha256} className="mono soft">
                      {root.subject || root.sha256.slice(0, 16)}
                    </div>
                  ))}
                  {domain.failing !== undefined && <div style={{ color: 'var(--bad)' }}>{domain.failing}</div>}
                </div>
                <div>
                  {domain.roots.length === 0 && <span style={{ color: 'var(--bad)' }}>nobody of it is believed</span>}
                  {domain.roots.map(root => (
                    <CertificateLeft key={root.sha256} notAfter={root.notAfter} soonMs={monthMs} />
                  ))}
                  {domain.refreshedAt !== undefined && <div className="soft">fetched {span(now - Date.parse(domain.refreshedAt))} ago</div>}
                </div>
              </div>
            ))}
          </div>
        </Section>
      )}
    </>
  )
}

const isOver = (nextUpdate: string | undefined, now: number): boolean => nextUpdate !== undefined && left(nextUpdate, now) <= 0
