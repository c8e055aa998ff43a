# syntax=docker/dockerfile:1

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/mailkeep ./cmd/mailkeep \
 && mkdir -m 0700 /out/data && mkdir -m 1777 /out/tmp

# Nothing but the program, the certificate authorities and an empty archive. The
# root may be mounted read-only: all state is in /data.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/mailkeep /mailkeep
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/tmp /tmp
USER 65532:65532
ENV MAILKEEP_ARCHIVE_DIR=/data \
    MAILKEEP_CONFIG=/etc/mailkeep/mailkeep.yaml \
    MAILKEEP_HTTP_LISTEN=:8025 \
    MAILKEEP_LOG_FORMAT=json
VOLUME /data
EXPOSE 8025
HEALTHCHECK --interval=30s --timeout=6s --start-period=30s CMD ["/mailkeep", "health"]
ENTRYPOINT ["/mailkeep"]
CMD ["run"]
