# Understudy: one static program and the certificates that it trusts. It runs as
# a login without rights, and writes nothing.
#
#   make image VERSION=1.0, or
#   docker build --build-arg VERSION=1.0 --tag understudy:1.0 .
#
# Handlers that run programs (type exec) need an image that has them:
#   COPY --from=understudy:1.0 /usr/local/bin/understudy /usr/local/bin/
ARG GO_IMAGE=golang:1.26

FROM $GO_IMAGE AS build
# Where modules come from, if not from Go's defaults.
ARG GOPROXY GOSUMDB GOFLAGS
ENV CGO_ENABLED=0
WORKDIR /src
# Modules first: a changed source file does not download them again.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# What is compiled serves every version: they differ in the last step only.
RUN go build -trimpath ./app
ARG VERSION=dev COMMIT=unknown
RUN go build -trimpath -o /understudy -ldflags "-s -w \
    -X github.com/understudy-worker/understudy/app.buildVersion=$VERSION \
    -X github.com/understudy-worker/understudy/app.buildCommit=$COMMIT" ./cmd/understudy

FROM scratch
# For servers and http handlers behind TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY LICENSE /
COPY --from=build /understudy /usr/local/bin/understudy
ARG VERSION=dev COMMIT=unknown
LABEL org.opencontainers.image.title="Understudy" \
      org.opencontainers.image.description="A Postgres job worker for progressive delivery" \
      org.opencontainers.image.source="https://github.com/understudy-worker/understudy" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/understudy"]
CMD ["run"]
