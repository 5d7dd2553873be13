%% A router's side: a line of input is a request, VERB PAYLOAD; a line of output is a reply to one.
%%
%%     lookup normalize_text
%%     invoke {"id":"normalize_text","payload":{"text":" Hi "}}
%%     stream {"id":"normalize_text","payload":{"text":"one two three"}}
%%     cancel                                      (ends the last stream)
-module(client).

-export([main/0]).

main() ->
    {ok, _} = beamline_nats:start_link(os:getenv("NATS_URL", "nats://127.0.0.1:4222")),
    %% Bytes in, and bytes out by a port of our own: standard output waits while a line is read.
    ok = io:setopts(standard_io, [binary, {encoding, latin1}]),
    register(output, open_port({fd, 0, 1}, [out, binary])),
    read([], <<>>).

%% `Calls`: a process each, so that a stream holds up no other. `Last`: the id of the last stream.
read(Calls, Last) ->
    case file:read_line(standard_io) of
        {ok, Line} ->
            [Words | _] = binary:split(Line, <<"\n">>),
            [Word | Rest] = binary:split(Words, <<" ">>),
            {Verb, Payload, Headers, Id} = request(Word, iolist_to_binary(Rest), Last),
            {_, Call} = spawn_monitor(fun() -> ask(subjects(Verb), Headers, Payload) end),
            read([Call | Calls], Id);
        eof ->
            [receive {'DOWN', Call, process, _, _} -> ok end || Call <- Calls]
    end.

request(<<"stream">>, Payload, _) ->
    Id = beamline_nats:random(),
    Headers = [{<<"Beamline-Accept">>, <<"stream">>}, {<<"Beamline-Call-Id">>, Id}],
    {<<"invoke">>, Payload, Headers, Id};
request(<<"cancel">>, _, Last) ->
    %% Asks every sidecar; the one that has the call answers.
    {<<"all.cancel">>, beamline_json:encode(#{call => Last}), [], Last};
request(Verb, Payload, Last) ->
    {Verb, Payload, [], Last}.

%% The sidecar of this pod, then one of the group.
subjects(Verb) ->
    Prefix = os:getenv("SUBJECT_PREFIX", "beamline.registry"),
    Group = {<<"group">>, iolist_to_binary([Prefix, $., Verb])},
    case {os:getenv("INSTANCE_ID"), Verb} of
        {false, _} -> [Group];
        {_, <<"all.", _/binary>>} -> [Group];
        {Id, _} -> [{<<"local">>, iolist_to_binary([Prefix, ".local.", Id, $., Verb])}, Group]
    end.

%% Prints each reply with its sender.
ask([], _, _) -> print([<<"failed no responders">>]);
ask([{Via, Subject} | Others], Headers, Payload) ->
    DeadlineMs = list_to_integer(os:getenv("DEADLINE_MS", "5000")),
    Deadline = {<<"Beamline-Deadline-Ms">>, integer_to_binary(DeadlineMs)},
    Show = fun(#{headers := Said, payload := Body}) ->
        print([Via, kind(Said), Body]),
        kind(Said) =:= <<"chunk">>
    end,
    %% The registry gives up at the deadline; its last reply has to travel.
    case beamline_nats:request(Subject, [Deadline | Headers], Payload, DeadlineMs + 500, Show) of
        ok -> ok;
        %% Says the server, at once; so nothing was carried out.
        {error, no_responders} -> ask(Others, Headers, Payload);
        %% After a timeout nobody knows whether a call was carried out: it is not repeated here.
        {error, Reason} -> print([<<"failed">>, atom_to_binary(Reason)])
    end.

print(Words) ->
    port_command(output, [lists:join($\s, Words), $\n]).

%% Whose answer it is. An extension's own error says that the call was carried out.
kind(Headers) ->
    Code = proplists:get_value(<<"Nats-Service-Error-Code">>, Headers),
    Own = proplists:is_defined(<<"Beamline-Extension-Error">>, Headers),
    if
        Code =:= undefined -> proplists:get_value(<<"Beamline-Stream">>, Headers, <<"ok">>);
        Own -> [<<"extension ">>, Code];
        true -> [<<"registry ">>, Code]
    end.
