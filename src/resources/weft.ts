/** Weft's own kinds: only what Gateway API has no word for. */

import type { Kind } from './kind.ts'
import { accessPolicy } from './weft/access-policy.ts'
import { authenticationPolicy } from './weft/authentication-policy.ts'
import { backendPolicy } from './weft/backend-policy.ts'
import { certificateIssuer } from './weft/certificate-issuer.ts'
import { egressPolicy } from './weft/egress-policy.ts'
import { externalAuthorizationPolicy } from './weft/external-authorization-policy.ts'
import { externalService } from './weft/external-service.ts'
import { faultPolicy } from './weft/fault-policy.ts'
import { jwtPolicy } from './weft/jwt-policy.ts'
import { loginPolicy } from './weft/login-policy.ts'
import { mesh } from './weft/mesh.ts'
import { registration } from './weft/registration.ts'
import { rateLimitPolicy } from './weft/rate-limit-policy.ts'
import { revocation } from './weft/revocation.ts'
import { routeFilter } from './weft/route-filter.ts'
import { routePolicy } from './weft/route-policy.ts'
import { serviceSubset } from './weft/service-subset.ts'
import { telemetryPolicy } from './weft/telemetry-policy.ts'
import { trustDomain } from './weft/trust-domain.ts'
import { workload } from './weft/workload.ts'

export type {
  AccessOperation,
  AccessPath,
  AccessPolicy,
  AccessPolicySpec,
  AccessSource,
  AccessTarget,
  AccessWindow,
} from './weft/access-policy.ts'
export type { AuthenticationPolicy, AuthenticationPolicySpec } from './weft/authentication-policy.ts'
export { rootNamespace } from './weft/access-policy.ts'
export type { BackendPolicy, BackendPolicySpec } from './weft/backend-policy.ts'
export { type CertificateIssuer, type CertificateIssuerSpec, issuerAnnotation } from './weft/certificate-issuer.ts'
export { statusRange } from './weft/health-check.ts'
export type { ClientSpec } from './weft/clients.ts'
export type { EgressDestination, EgressPolicy, EgressPolicySpec, EgressTargetRef } from './weft/egress-policy.ts'
export type { ExternalAuthorizationPolicy, ExternalAuthorizationPolicySpec } from './weft/external-authorization-policy.ts'
export type { ExternalService, ExternalServiceSpec } from './weft/external-service.ts'
export type { FaultPolicy, FaultPolicySpec } from './weft/fault-policy.ts'
export type { JWTPolicy, JWTPolicySpec, TokenProvider } from './weft/jwt-policy.ts'
export type { LoginPolicy, LoginPolicySpec } from './weft/login-policy.ts'
export type { MeshResource, MeshSpec } from './weft/mesh.ts'
export { keyOfWhen, type LimitBy, type RateLimitPolicy, type RateLimitPolicySpec } from './weft/rate-limit-policy.ts'
export { type Revocation, type RevocationSpec, revocationReasons, revocationStanding } from './weft/revocation.ts'
export type { Registration, RegistrationSpec } from './weft/registration.ts'
export type { RouteFilter, RouteFilterSpec } from './weft/route-filter.ts'
export type { RetrySpec, RoutePolicy, RoutePolicySpec } from './weft/route-policy.ts'
export type { PolicyTarget, TargetKind } from './weft/route-targets.ts'
export type { ServiceSubset } from './weft/service-subset.ts'
export type { TelemetryPolicy, TelemetryPolicySpec } from './weft/telemetry-policy.ts'
export type { TrustDomain, TrustDomainSpec, TrustDomainStatus } from './weft/trust-domain.ts'
export type { WorkloadResource, WorkloadSpec, WorkloadStatus } from './weft/workload.ts'

export const weftGroup = 'weft.dev'
export const weftKinds: readonly Kind[] = [
  mesh,
  workload,
  serviceSubset,
  routeFilter,
  routePolicy,
  backendPolicy,
  faultPolicy,
  rateLimitPolicy,
  accessPolicy,
  authenticationPolicy,
  jwtPolicy,
  loginPolicy,
  externalAuthorizationPolicy,
  telemetryPolicy,
  externalService,
  egressPolicy,
  registration,
  revocation,
  trustDomain,
  certificateIssuer,
]
