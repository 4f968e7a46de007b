//! Requests through `wasi:http`.

use std::time::Duration;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme, http_error_code,
};
use wasip2::io::streams::{InputStream, StreamError};

use super::{HttpError, Request, Response, split};

/// The most that one write may carry (`blocking-write-and-flush` in wasi:io).
const WRITE_BYTES: usize = 4096;
const READ_BYTES: u64 = 64 * 1024;

pub(crate) fn send(request: &Request) -> Result<Response, HttpError> {
    let outgoing = head(request)?;
    let options = RequestOptions::new();
    // A host that does not know a timeout says so; the task's own bound still holds.
    let _ = options.set_connect_timeout(Some(nanos(request.first_byte_timeout)));
    let _ = options.set_first_byte_timeout(Some(nanos(request.first_byte_timeout)));
    let _ = options.set_between_bytes_timeout(Some(nanos(request.idle_timeout)));

    let body = outgoing
        .body()
        .map_err(|()| HttpError::InvalidRequest("no body".to_owned()))?;
    let answer = outgoing_handler::handle(outgoing, Some(options)).map_err(error)?;
    // If writing fails, the answer tells more about why.
    let written = write(&body, &request.body);
    let finished = OutgoingBody::finish(body, None);

    answer.subscribe().block();
    let response = match answer.get() {
        Some(Ok(response)) => response.map_err(error)?,
        _ => return Err(HttpError::Connection("the host gave no answer".to_owned())),
    };
    if response.status() < 400 {
        written.map_err(stream_error)?;
        finished.map_err(error)?;
    }
    read(response)
}

fn head(request: &Request) -> Result<OutgoingRequest, HttpError> {
    let (https, authority, path) = split(&request.url)?;
    let mut headers: Vec<(String, Vec<u8>)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
        .collect();
    // Without a length the body goes out chunked, which simple servers do not understand.
    if !request.body.is_empty() || matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") {
        headers.push((
            "content-length".to_owned(),
            request.body.len().to_string().into_bytes(),
        ));
    }
    let headers = Fields::from_list(&headers)
        .map_err(|e| HttpError::InvalidRequest(format!("headers: {e}")))?;
    let outgoing = OutgoingRequest::new(headers);
    let invalid = |()| HttpError::InvalidRequest(format!("{} {}", request.method, request.url));
    outgoing
        .set_method(&method(&request.method))
        .map_err(invalid)?;
    outgoing
        .set_scheme(Some(if https { &Scheme::Https } else { &Scheme::Http }))
        .map_err(invalid)?;
    outgoing.set_authority(Some(authority)).map_err(invalid)?;
    outgoing.set_path_with_query(Some(&path)).map_err(invalid)?;
    Ok(outgoing)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        "HEAD" => Method::Head,
        "OPTIONS" => Method::Options,
        other => Method::Other(other.to_owned()),
    }
}

fn write(body: &OutgoingBody, bytes: &[u8]) -> Result<(), StreamError> {
    let Ok(stream) = body.write() else {
        return Err(StreamError::Closed);
    };
    bytes
        .chunks(WRITE_BYTES)
        .try_for_each(|piece| stream.blocking_write_and_flush(piece))
}

fn read(response: IncomingResponse) -> Result<Response, HttpError> {
    let headers = response.headers().entries();
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
        .collect();
    let gone = |()| HttpError::Protocol("the answer has no body".to_owned());
    let body = response.consume().map_err(gone)?;
    let stream = body.stream().map_err(gone)?;
    let body = Body {
        stream,
        _body: body,
    };
    Ok(Response {
        status: response.status(),
        headers,
        body,
        rest: Vec::new(),
    })
}

/// A body that is still arriving. The stream is a child of the body and must go first: fields are dropped in order.
pub(crate) struct Body {
    stream: InputStream,
    _body: IncomingBody,
}

impl Body {
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        loop {
            match self.stream.blocking_read(READ_BYTES) {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Ok(Some(piece)),
                Err(StreamError::Closed) => return Ok(None),
                Err(e) => return Err(stream_error(e)),
            }
        }
    }
}

fn stream_error(e: StreamError) -> HttpError {
    match e {
        StreamError::Closed => HttpError::Connection("the connection was closed".to_owned()),
        StreamError::LastOperationFailed(e) => match http_error_code(&e) {
            Some(code) => error(code),
            None => HttpError::Connection(e.to_debug_string()),
        },
    }
}

fn error(code: ErrorCode) -> HttpError {
    use ErrorCode as E;
    let text = match &code {
        E::InternalError(Some(text)) => text.clone(),
        // `ErrorCode::DnsTimeout`
        code => format!("{code:?}").replace("ErrorCode::", ""),
    };
    match code {
        E::HttpRequestDenied | E::DestinationIpProhibited => HttpError::Denied(text),
        E::ConnectionTimeout
        | E::ConnectionReadTimeout
        | E::ConnectionWriteTimeout
        | E::HttpResponseTimeout
        | E::DnsTimeout => HttpError::Timeout(text),
        E::HttpRequestMethodInvalid
        | E::HttpRequestUriInvalid
        | E::HttpRequestUriTooLong
        | E::HttpRequestLengthRequired
        | E::HttpRequestBodySize(_)
        | E::HttpRequestHeaderSize(_)
        | E::HttpRequestHeaderSectionSize(_) => HttpError::InvalidRequest(text),
        E::HttpProtocolError
        | E::HttpResponseHeaderSize(_)
        | E::HttpResponseHeaderSectionSize(_)
        | E::HttpResponseBodySize(_)
        | E::HttpResponseContentCoding(_)
        | E::HttpResponseTransferCoding(_) => HttpError::Protocol(text),
        _ => HttpError::Connection(text),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
